package config

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"

	"tokenreview.dev/webhook/internal/strictyaml"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// decodedFile is a configuration file, document by document.
type decodedFile struct {
	authentication decoded[apiserver.AuthenticationConfiguration]
	policies       []decoded[v1alpha1.IssuerPolicy]
	webhook        decoded[v1alpha1.WebhookConfiguration]
	// incomplete is whether there is a document of which is not known what it says: it
	// may be a policy.
	incomplete bool
}

// decoded is a document and what it says: nil where it could not be decoded.
type decoded[T any] struct {
	*document
	object *T
}

// sound reports whether the object is all that its document says.
func (d decoded[T]) sound() bool { return d.object != nil && d.Sound() }

// decodeDocuments decodes every document of a file. It also returns all documents,
// which have the errors.
func decodeDocuments(name string, data []byte) (decodedFile, []*document) {
	documents := strictyaml.Split(name, data)
	first := documents[0]
	first.Number = 1
	file := decodedFile{}
	file.authentication.document, file.authentication.object = first, decodeAuthentication(first, data)
	number := 2
	for _, d := range documents[1:] {
		d.Number = number
		if file.add(d) {
			number++
		}
	}
	return file, documents
}

// add decodes a document after the first and reports whether it is one: an empty
// one is not.
func (f *decodedFile) add(d *document) bool {
	kind := d.Read()
	if kind == nil {
		f.incomplete = f.incomplete || len(d.Errors()) > 0
		return len(d.Errors()) > 0
	}
	d.RefuseEmpty()
	switch {
	case *kind == metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindIssuerPolicy}:
		f.policies = append(f.policies, decoded[v1alpha1.IssuerPolicy]{d, strictyaml.Decode[v1alpha1.IssuerPolicy](d)})
	case *kind == metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindWebhookConfiguration} && f.webhook.document != nil:
		d.AddErrorAt("kind", fmt.Sprintf("a file has one WebhookConfiguration at most and document %d is one: merge the two", f.webhook.Number))
	case *kind == metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindWebhookConfiguration}:
		f.webhook = decoded[v1alpha1.WebhookConfiguration]{d, strictyaml.Decode[v1alpha1.WebhookConfiguration](d)}
	case kind.Kind == kindAuthentication && strings.HasPrefix(kind.APIVersion, groupAuthentication+"/"):
		d.AddErrorAt("kind", "only document 1 may be an AuthenticationConfiguration, kube-apiserver would not see this one: move its jwt entries there")
	default:
		f.incomplete = true
		d.AddKindError(wantOwnKind)
	}
	return true
}

const wantOwnKind = "a document after the first must be an IssuerPolicy or a WebhookConfiguration of " + v1alpha1.APIVersion
