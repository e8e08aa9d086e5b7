package policytest

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"tokenreview.dev/webhook/internal/strictyaml"
	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/config"
)

// Test is one PolicyTest with the configuration that it tests.
type Test struct {
	Name string
	Spec v1alpha1.PolicyTestSpec
	// Config is the configuration as it is, with the issuers' own keys.
	Config *config.Config
}

// loader reads one file of PolicyTests.
type loader struct {
	file  string
	read  func(path string) ([]byte, error)
	tests []Test
	names []string // of the tests so far
	// configErrs are the errors of the configurations, each once.
	configErrs config.Errors
}

// Load reads a file of PolicyTests and the configurations that they name. read is
// os.ReadFile, or what stands for it. The error is strictyaml.Errors where the file
// could be read: all that is wrong with it, and then with the configurations.
func Load(file string, read func(path string) ([]byte, error)) ([]Test, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	l := loader{file: file, read: read}
	var errs strictyaml.Errors
	documents := strictyaml.Split(file, data)
	number := 1
	for _, d := range documents {
		d.Number = number
		if l.load(d) {
			number++
		}
		errs = append(errs, d.Errors()...)
	}
	if number == 1 {
		documents[0].AddErrorAt("", "the file is empty: "+wantPolicyTest)
		errs = documents[0].Errors()
	}
	if errs = append(errs.Sorted(), l.configErrs...); len(errs) > 0 {
		return nil, errs
	}
	return l.tests, nil
}

const wantPolicyTest = "a policy test must be a " + v1alpha1.KindPolicyTest + " of " + v1alpha1.APIVersion

// load reads one document and reports whether it is one: an empty one is not.
func (l *loader) load(d *strictyaml.Document) bool {
	switch kind := d.Read(); {
	case kind == nil:
		return len(d.Errors()) > 0
	case *kind != metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindPolicyTest}:
		d.AddKindError(wantPolicyTest)
		return true
	}
	d.RefuseNulls("claims")
	test := strictyaml.Decode[v1alpha1.PolicyTest](d)
	if test == nil {
		return true
	}
	d.Report(validate(test))
	if name := test.Metadata.Name; name != "" && slices.Contains(l.names, name) {
		d.AddErrorAt("metadata.name", fmt.Sprintf("%q is the name of another test in this file, and their cases could not be told apart: choose another", name))
	}
	l.names = append(l.names, test.Metadata.Name)
	loaded := l.configuration(d, test.Spec.Configuration)
	if loaded == nil {
		return true
	}
	if d.Sound() { // Else what is missing may be what is misspelt.
		d.Report(validateAgainst(loaded, &test.Spec))
	}
	l.tests = append(l.tests, Test{Name: test.Metadata.Name, Spec: test.Spec, Config: loaded})
	return true
}

// configuration loads the configuration that a test names, nil if it cannot be used.
func (l *loader) configuration(d *strictyaml.Document, path string) *config.Config {
	if path == "" {
		return nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.file), path)
	}
	data, err := l.read(path)
	if err != nil {
		d.AddErrorAt("spec.configuration", err.Error()+": give its path relative to this file")
		return nil
	}
	loaded, err := config.Parse(path, data)
	var errs config.Errors
	if errors.As(err, &errs) && !slices.Contains(l.configErrs, errs[0]) {
		l.configErrs = append(l.configErrs, errs...)
	}
	return loaded
}
