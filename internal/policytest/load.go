package policytest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"

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

// Load reads a file of PolicyTests and the configurations that they name. read is
// os.ReadFile, or what stands for it. An error says which document and field of
// the file is wrong, for all of them; the errors of a configuration that is not
// valid are config.Errors.
func Load(file string, read func(path string) ([]byte, error)) ([]Test, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	documents, err := splitDocuments(data)
	if err != nil {
		return nil, fmt.Errorf("%s: not valid YAML: %w", file, err)
	}
	var (
		tests []Test
		errs  []error
	)
	for i, document := range documents {
		test, err := loadTest(document, file, read)
		if err != nil {
			errs = append(errs, inDocument(file, i+1, err)...)
			continue
		}
		tests = append(tests, test)
	}
	switch {
	case len(errs) > 0:
		return nil, errors.Join(errs...)
	case len(tests) == 0:
		return nil, fmt.Errorf("%s: the file is empty: a PolicyTest was expected", file)
	}
	return tests, nil
}

// inDocument says of each error where it is. Those of a configuration say so
// themselves.
func inDocument(file string, number int, err error) []error {
	if errors.As(err, new(config.Errors)) {
		return []error{err}
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for i := range all {
		all[i] = fmt.Errorf("%s: document %d: %w", file, number, all[i])
	}
	return all
}

// splitDocuments returns a file's documents as JSON, without the empty ones.
func splitDocuments(data []byte) ([][]byte, error) {
	var documents [][]byte
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		document, err := kyaml.YAMLToJSONStrict(text)
		if err == nil {
			err = oneDocument(text)
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(documents)+1, err)
		}
		if !bytes.Equal(document, []byte("null")) {
			documents = append(documents, document)
		}
	}
}

// oneDocument refuses a text of which the decoder would read the beginning alone.
func oneDocument(text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var node yaml.Node
	for n := 1; ; n++ {
		switch err := decoder.Decode(&node); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case n > 1:
			return fmt.Errorf("line %d: another document begins without a line \"---\": put one before it", node.Line)
		}
	}
}

// loadTest decodes and validates one document, and loads its configuration.
func loadTest(document []byte, file string, read func(string) ([]byte, error)) (Test, error) {
	var test v1alpha1.PolicyTest
	if err := decodeStrictly(document, &test); err != nil {
		return Test{}, err
	}
	if err := joined(validate(&test)); err != nil {
		return Test{}, err
	}
	path := test.Spec.Configuration
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(file), path)
	}
	data, err := read(path)
	if err != nil {
		return Test{}, fmt.Errorf("spec.configuration: %w: give its path relative to this file", err)
	}
	loaded, err := config.Parse(path, data)
	if err != nil {
		return Test{}, err
	}
	if err := joined(validateAgainst(loaded, &test.Spec)); err != nil {
		return Test{}, err
	}
	return Test{Name: test.Metadata.Name, Spec: test.Spec, Config: loaded}, nil
}

// decodeStrictly refuses another kind first: its fields would all be unknown.
func decodeStrictly(document []byte, test *v1alpha1.PolicyTest) error {
	// What is no mapping, or has a kind that is no text, is of no kind.
	var kind metav1.TypeMeta
	_ = kjson.UnmarshalCaseSensitivePreserveInts(document, &kind)
	if kind != (metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindPolicyTest}) {
		return fmt.Errorf("kind: expected a %s of %s, got kind %q and apiVersion %q",
			v1alpha1.KindPolicyTest, v1alpha1.APIVersion, kind.Kind, kind.APIVersion)
	}
	strict, err := kjson.UnmarshalStrict(document, test)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		err = fmt.Errorf("%s: expected a %s, got a %s", wrong.Field, wrong.Type.Kind(), wrong.Value)
	}
	errs := []error{err}
	for _, one := range strict {
		var at kjson.FieldError
		if errors.As(one, &at) {
			one = fmt.Errorf("%s: unknown field: correct its name or remove it", at.FieldPath())
		}
		errs = append(errs, one)
	}
	return errors.Join(errs...)
}

func joined(list field.ErrorList) error {
	errs := make([]error, len(list))
	for i, err := range list {
		errs[i] = err
	}
	return errors.Join(errs...)
}
