package config

import (
	"bytes"
	"fmt"
	"reflect"
	"unicode"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
)

const (
	groupAuthentication = "apiserver.config.k8s.io"
	kindAuthentication  = "AuthenticationConfiguration"

	wantAuthentication = "document 1 must be an AuthenticationConfiguration of apiserver.config.k8s.io/v1, v1beta1 or v1alpha1, " +
		"because kube-apiserver reads the first document of the file and no other"
)

// decodeAuthentication gives upstream's strict decoder the whole file, as
// kube-apiserver does. What that takes for the first document is document 1, says
// what it decodes, and is refused where it refuses; the document's own text serves
// to say where and why.
func decodeAuthentication(d *document, file []byte) *apiserver.AuthenticationConfiguration {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder()

	object, _, err := decoder.Decode(file, nil, nil)
	asJSON := startsAsJSON(file)
	if asJSON && err != nil {
		err = fmt.Errorf(`%w: to kube-apiserver a file that begins with "{" is JSON, in which nothing follows document 1; begin it with a line "---" if it is YAML`, err)
	}
	switch parseErr := d.Parse(); {
	case parseErr != nil && !asJSON:
		// Even where upstream can read it: something may follow that it does not see.
		d.AddSyntaxError(parseErr)
		return nil
	case err == nil:
		authentication, ok := object.(*apiserver.AuthenticationConfiguration)
		if !ok {
			d.AddKindError(wantAuthentication)
		}
		return authentication
	case parseErr != nil:
		d.AddErrorAt("", err.Error())
		return nil
	case d.IsEmpty():
		d.AddErrorAt("", "the document is empty: "+wantAuthentication)
		return nil
	}
	gvk := d.Kind()
	versioned, schemeErr := scheme.New(gvk)
	if schemeErr != nil || gvk.Kind != kindAuthentication || runtime.IsMissingKind(err) || runtime.IsMissingVersion(err) {
		// The decoder's own error would quote the whole file.
		d.AddKindError(wantAuthentication)
		return nil
	}
	var authentication *apiserver.AuthenticationConfiguration
	d.Explain(err, reflect.TypeOf(versioned).Elem(), func(text []byte) {
		if object, _, err := decoder.Decode(text, nil, nil); err == nil {
			authentication, _ = object.(*apiserver.AuthenticationConfiguration)
		}
	})
	return authentication
}

// startsAsJSON is how the universal decoder tells JSON from YAML.
func startsAsJSON(file []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeftFunc(file, unicode.IsSpace), []byte("{"))
}
