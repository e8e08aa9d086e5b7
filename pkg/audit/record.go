package audit

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
	// JTI and Subject are the claims jti and sub, Claims those that the issuer's policy
	// names.
	JTI     string                    `json:"jti,omitempty"`
	Subject string                    `json:"sub,omitempty"`
	Claims  map[string]jsontext.Value `json:"claims,omitempty"`
	// Username, UID and Groups are those of the answer.
	Username string   `json:"username,omitempty"`
	UID      string   `json:"uid,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	// Fingerprint tells tokens apart without telling anything of them.
	Fingerprint Fingerprint `json:"fingerprint"`
	// Cached is whether an earlier decision about the same token was used again.
	Cached bool `json:"cached"`
	// Duration is how long it took to decide, in seconds.
	Duration float64 `json:"duration"`
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

// line is the record as JSON, with a line feed at its end.
func (r *Record) line() ([]byte, error) {
	data, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}
