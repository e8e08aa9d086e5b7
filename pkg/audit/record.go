package audit

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tokenreview.dev/webhook/internal/jsonobject"
	"tokenreview.dev/webhook/pkg/reason"
)

// Schema is the version of the lines. Fields may be added to it; one that changes
// its meaning or goes makes another version. docs/audit.md describes them.
const Schema = "tokenreview.dev/audit/v1"

// Record is one decision. Of a token that no issuer is shown to have signed it holds
// nothing that the token says but, quoted in Message, its iss, kid or alg.
type Record struct {
	// Schema is Schema; Write sets it.
	Schema string `json:"schema"`
	// Time is when the request came in.
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestID"`
	// Endpoint is the path of the request.
	Endpoint string `json:"endpoint"`
	Caller   Caller `json:"caller"`
	// Issuer is the short name of the issuer configured for the token's iss, which need
	// not have signed it; empty for a token of none of ours.
	Issuer string `json:"issuer,omitempty"`
	// Proven is whether Issuer is shown to have signed the token.
	Proven bool `json:"proven"`
	// Reason is a code of package reason, or reason.Allowed.
	Reason string `json:"reason"`
	// Message is the refusal's text.
	Message string `json:"message,omitempty"`
	// WouldRefuse is the code, and WouldRefuseMessage the text, of what the issuer's
	// policy has recorded and not enforced.
	WouldRefuse        string `json:"wouldRefuse,omitempty"`
	WouldRefuseMessage string `json:"wouldRefuseMessage,omitempty"`
	// JTI and Subject are the claims jti and sub, Claims an object of those that the
	// issuer's policy names.
	JTI     string         `json:"jti,omitempty"`
	Subject string         `json:"sub,omitempty"`
	Claims  jsontext.Value `json:"claims,omitempty"`
	// Username, UID and Groups are those of the answer.
	Username string   `json:"username,omitempty"`
	UID      string   `json:"uid,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	// Fingerprint tells tokens apart without telling anything of them.
	Fingerprint Fingerprint `json:"fingerprint"`
	// Cached is whether a decision that was made for another request about the same token
	// was used again.
	Cached bool `json:"cached"`
	// Duration is how long it took to decide, in seconds.
	Duration float64 `json:"duration"`
	// Written is the decision, the fields from Issuer to Groups, as Decision returns it for a
	// record of the same one; nil where there was none.
	Written jsontext.Value `json:"-"`
	// Omitted is how many refusals before this one were left out because there were more
	// than MaxRefusalsPerSecond; Write sets it.
	Omitted int64 `json:"omitted,omitzero"`
}

// Caller is who asked.
type Caller struct {
	// CommonName, Organizations and URIs are those of the client certificate, empty where
	// callers need none.
	CommonName    string   `json:"commonName,omitempty"`
	Organizations []string `json:"organizations,omitempty"`
	URIs          []string `json:"uris,omitempty"`
	// Address is host:port of the caller's end of the connection.
	Address string `json:"address"`
}

// refused reports whether nobody was let in.
func (r *Record) refused() bool { return r.Reason != reason.Allowed }

// Decision is the fields from Issuer to Groups as a line has them, for Written: to write
// them costs most of a line.
func (r *Record) Decision() (jsontext.Value, error) {
	w := jsonobject.New(nil)
	r.writeDecision(w)
	return w.End()
}

func (r *Record) writeDecision(w *jsonobject.Writer) {
	w.OptionalText("issuer", r.Issuer)
	w.Bool("proven", r.Proven)
	w.Text("reason", r.Reason)
	w.OptionalText("message", r.Message)
	w.OptionalText("wouldRefuse", r.WouldRefuse)
	w.OptionalText("wouldRefuseMessage", r.WouldRefuseMessage)
	w.OptionalText("jti", r.JTI)
	w.OptionalText("sub", r.Subject)
	if len(r.Claims) > 0 {
		w.Written("claims", r.Claims)
	}
	w.OptionalText("username", r.Username)
	w.OptionalText("uid", r.UID)
	w.OptionalTexts("groups", r.Groups)
}

// appendLine appends the record as JSON, with a line feed at its end. It writes what
// json.Marshal would.
func (r *Record) appendLine(line []byte) ([]byte, error) {
	w := jsonobject.New(line)
	w.Text("schema", r.Schema)
	w.Time("time", r.Time)
	w.Text("requestID", r.RequestID)
	w.Text("endpoint", r.Endpoint)
	w.Begin("caller")
	w.OptionalText("commonName", r.Caller.CommonName)
	w.OptionalTexts("organizations", r.Caller.Organizations)
	w.OptionalTexts("uris", r.Caller.URIs)
	w.Text("address", r.Caller.Address)
	w.Finish()
	if r.Written != nil {
		w.Members(r.Written)
	} else {
		r.writeDecision(w)
	}
	w.Text("fingerprint", r.Fingerprint.String())
	w.Bool("cached", r.Cached)
	w.Number("duration", r.Duration)
	if r.Omitted != 0 {
		w.Number("omitted", float64(r.Omitted))
	}
	line, err := w.End()
	return append(line, '\n'), err
}
