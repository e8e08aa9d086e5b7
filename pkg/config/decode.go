package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/apiserver"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// decodedFile is a configuration file, document by document.
type decodedFile struct {
	authentication decoded[apiserver.AuthenticationConfiguration]
	policies       []decoded[v1alpha1.IssuerPolicy]
	webhook        decoded[v1alpha1.WebhookConfiguration]
}

// decoded is a document and what it says: nil where it could not be decoded.
type decoded[T any] struct {
	*document
	object *T
}

// sound reports whether the object is all that its document says.
func (d decoded[T]) sound() bool { return d.object != nil && len(d.faulty) == 0 }

// decodeDocuments decodes every document of a file. It also returns all documents,
// which have the errors.
func decodeDocuments(name string, data []byte) (decodedFile, []*document) {
	documents := splitDocuments(name, bytes.TrimPrefix(data, []byte("\ufeff")))
	first := documents[0]
	first.number = 1
	file := decodedFile{}
	file.authentication.document, file.authentication.object = first, decodeAuthentication(first, data)
	number := 2
	for _, d := range documents[1:] {
		d.number = number
		if file.add(d) {
			number++
		}
	}
	return file, documents
}

// add decodes a document after the first and reports whether it is one: an empty
// one is not.
func (f *decodedFile) add(d *document) bool {
	if err := d.parse(); err != nil {
		d.addSyntaxError(err)
		return true
	}
	// Whether a document is empty, and of which kind it is, decides if what it
	// restricts is restricted: there the decoder's reading counts as well, not the
	// node tree's.
	data, err := kyaml.YAMLToJSON(d.text)
	if err != nil {
		d.addSyntaxError(err)
		return true
	}
	if bytes.Equal(data, []byte("null")) {
		return false
	}
	// What is no mapping, or has a kind that is no text, is of no kind.
	var kind metav1.TypeMeta
	_ = kjson.UnmarshalCaseSensitivePreserveInts(data, &kind)
	switch {
	case kind == metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindIssuerPolicy}:
		f.policies = append(f.policies, decoded[v1alpha1.IssuerPolicy]{d, decodeStrictly[v1alpha1.IssuerPolicy](d)})
	case kind == metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindWebhookConfiguration} && f.webhook.document != nil:
		d.addErrorAt("kind", fmt.Sprintf("a file has one WebhookConfiguration at most and document %d is one: merge the two", f.webhook.number))
	case kind == metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindWebhookConfiguration}:
		f.webhook = decoded[v1alpha1.WebhookConfiguration]{d, decodeStrictly[v1alpha1.WebhookConfiguration](d)}
	case kind.Kind == kindAuthentication && strings.HasPrefix(kind.APIVersion, groupAuthentication+"/"):
		d.addErrorAt("kind", "only document 1 may be an AuthenticationConfiguration, kube-apiserver would not see this one: move its jwt entries there")
	default:
		d.addKindError(wantOwnKind)
	}
	return true
}

const wantOwnKind = "a document after the first must be an IssuerPolicy or a WebhookConfiguration of " + v1alpha1.APIVersion

// decodeStrictly decodes one of our own kinds as apimachinery decodes upstream's:
// from YAML 1.1 to JSON, and from that to the type, with case respected.
func decodeStrictly[T any](d *document) *T {
	decode := func(text []byte) (*T, error) {
		data, err := kyaml.YAMLToJSON(text)
		if err != nil {
			return nil, err
		}
		_, duplicates := kyaml.YAMLToJSONStrict(text)
		object := new(T)
		strict, err := kjson.UnmarshalStrict(data, object)
		return object, errors.Join(slices.Concat([]error{err, duplicates}, strict)...)
	}
	object, err := decode(d.text)
	if err != nil {
		object = nil
		d.explain(err, reflect.TypeFor[T](), func(text []byte) {
			if rest, err := decode(text); err == nil {
				object = rest
			}
		})
	}
	return object
}

// explain reports why a decoder refused the document, and gives decode what is left
// of it without its faults.
func (d *document) explain(refusal error, t reflect.Type, decode func(text []byte)) {
	before := len(d.errs)
	if d.root != nil {
		walk{d}.value(d.root, t, "")
	}
	if len(d.errs) == before {
		d.faulty = append(d.faulty, "")
		d.addError(d.firstLine(), "", refusal.Error())
		return
	}
	if rest, err := yaml.Marshal(d.root); err == nil {
		decode(rest)
	}
}

// kind is the document's kind as the node tree has it.
func (d *document) kind() schema.GroupVersionKind {
	var apiVersion, kind string
	if _, value := child(d.root, "apiVersion"); value != nil {
		apiVersion = value.Value
	}
	if _, value := child(d.root, "kind"); value != nil {
		kind = value.Value
	}
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}

// addKindError adds that the document is not of the kind that is wanted.
func (d *document) addKindError(want string) {
	gvk, path := d.kind(), "kind"
	if gvk.Version == "" {
		path = "apiVersion"
	}
	d.addErrorAt(path, fmt.Sprintf("%s; it has kind %q and apiVersion %q", want, gvk.Kind, gvk.GroupVersion()))
}
