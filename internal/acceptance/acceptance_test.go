package acceptance_test

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/internal/acceptance"
	"tokenreview.dev/webhook/manifests/examples"
)

// load decodes and validates a configuration as kube-apiserver does.
func load(t *testing.T, data []byte) *apiserver.AuthenticationConfiguration {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDecoder(), data)
	if err != nil {
		t.Fatal(err)
	}
	configuration, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		t.Fatalf("decoded a %T", object)
	}
	compiler := authenticationcel.NewDefaultCompiler()
	if errs := validation.ValidateAuthenticationConfiguration(compiler, configuration, nil); len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return configuration
}

func TestExamplesAreWhatTheAPIServerAccepts(t *testing.T) {
	files, err := fs.Glob(examples.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	for _, c := range acceptance.Cases() {
		used[c.Example] = c.Issuer
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			data, err := examples.Files.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			configuration := load(t, data)
			if len(configuration.JWT) != 1 || configuration.JWT[0].Issuer.URL != used[file] {
				t.Errorf("is not the configuration of a case with the issuer %q", used[file])
			}
			if !strings.HasPrefix(string(data), "# ") {
				t.Error("does not begin by saying what it is")
			}
			if strings.Contains(string(data), "PRIVATE KEY") {
				t.Error("contains a private key")
			}
		})
	}
}

func TestEveryCaseHasTokensOfBothKinds(t *testing.T) {
	names := map[string]bool{}
	for _, c := range acceptance.Cases() {
		var accepted, refused int
		for _, token := range c.Tokens(time.Now()) {
			if name := c.Name + "/" + token.Name; names[name] {
				t.Errorf("%s: there are two of that name", name)
			} else {
				names[name] = true
			}
			if token.Accepted() == (token.Refusal.Code != "") {
				t.Errorf("%s/%s: expects a user and a refusal, or neither", c.Letter, token.Name)
			}
			if token.Accepted() {
				accepted++
			} else {
				refused++
			}
		}
		if refused == 0 || (accepted == 0) != (c.Letter == "G") {
			t.Errorf("%s: %d tokens are accepted, %d refused", c.Letter, accepted, refused)
		}
	}
}
