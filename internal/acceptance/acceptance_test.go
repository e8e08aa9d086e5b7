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
	manifests "tokenreview.dev/webhook/manifests/acceptance"
	"tokenreview.dev/webhook/pkg/config"
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

func TestConfigurationsAreWhatTheAPIServerAccepts(t *testing.T) {
	files, err := fs.Glob(manifests.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".test.yaml") {
			continue
		}
		t.Run(file, func(t *testing.T) {
			data, err := manifests.Files.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if configuration := load(t, data); len(configuration.JWT) != 1 {
				t.Errorf("expected one issuer, got %d", len(configuration.JWT))
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
	cases, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	caseNames, fileNames, letters := map[string]bool{}, map[string]bool{}, map[byte]bool{}
	for _, c := range cases {
		if caseNames[c.Name] {
			t.Errorf("%s: there are two of that name", c.Name)
		}
		caseNames[c.Name] = true
		letters[c.Name[0]] = true
		var accepted, refused int
		for _, token := range c.Tokens(time.Now()) {
			if name := c.Name + "/" + token.FileName(); fileNames[name] {
				t.Errorf("%s: there are two files of that name", name)
			} else {
				fileNames[name] = true
			}
			if token.Accepted() {
				accepted++
			} else {
				refused++
			}
		}
		if refused == 0 || (accepted == 0) != (c.Name == "g-legacy-service-account") {
			t.Errorf("%s: %d tokens are accepted, %d refused", c.Name, accepted, refused)
		}
	}
	for letter := byte('a'); letter <= 'g'; letter++ {
		if !letters[letter] {
			t.Errorf("there is no case %c", letter)
		}
	}
}

// The policies come along, and a token is signed for the issuer that it names.
func TestTheCombinedConfigurationIsAllOfThem(t *testing.T) {
	cases, err := acceptance.Cases()
	if err != nil {
		t.Fatal(err)
	}
	issuers := acceptance.StartIssuers(cases)
	defer issuers.Close()
	data, err := acceptance.Configuration(cases, issuers)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Parse("combined.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, issuer := range loaded.Issuers {
		names[issuer.JWT.Issuer.URL] = issuer.Name
	}
	for _, c := range cases {
		if names[c.Issuer] != c.IssuerName {
			t.Errorf("%s: expected its issuer to be called %q, got %q", c.Name, c.IssuerName, names[c.Issuer])
		}
	}
}
