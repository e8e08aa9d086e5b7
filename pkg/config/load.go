// Package config reads the webhook's one configuration file: upstream's
// AuthenticationConfiguration, what IssuerPolicies add to it, and a
// WebhookConfiguration for the server.
//
// A file comes in at Load and leaves as an immutable Config in which everything is
// decoded strictly, validated, compiled and at its default where nothing was said;
// or as Errors, which are all that is wrong with it. What the settings do is for
// the packages that are configured.
//
// The kinds themselves are those of package v1alpha1, and package strictyaml says
// where in the file what is wrong. Read this one in this order: load.go, decode.go,
// validation.go, defaults.go, warnings.go, build.go, asked.go.
package config

import (
	"fmt"
	"strings"

	"k8s.io/apiserver/pkg/apis/apiserver"
	apiservervalidation "k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
)

// MaxFileSize is the size in bytes above which a file is not read: the limit that
// the API server has for a request body, and thrice what a ConfigMap can hold.
const MaxFileSize = 3 << 20

// Config is one valid configuration. It is immutable.
type Config struct {
	// Issuers are those of document 1, in its order.
	Issuers []Issuer
	Webhook v1alpha1.WebhookConfigurationSpec
	// Warnings are what is valid but may not be what was meant, in the order of the
	// file.
	Warnings Errors
	// Digest is the SHA-256 of the file in hexadecimal.
	Digest string
}

// Issuer is one issuer that is trusted, and how.
type Issuer struct {
	// Name is the issuer's short name: its policy's metadata.name, or else its URL
	// without "https://". It is unique.
	Name string
	// JWT is the issuer's entry in document 1.
	JWT apiserver.JWTAuthenticator
	// Expressions are those of JWT, compiled.
	Expressions authenticationcel.CELMapper
	// Policy is what the issuer's IssuerPolicy says, with defaults filled in; all
	// defaults where there is none.
	Policy v1alpha1.IssuerPolicySpec
}

// Load reads a configuration file. The error is Errors where the file could be
// read and is not valid.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse is Load for a file that is read already; name stands for it in errors. An
// error is always Errors.
func Parse(name string, data []byte) (*Config, error) {
	if len(data) > MaxFileSize {
		return nil, Errors{{File: name, Line: 1, Message: fmt.Sprintf("the file is larger than %d bytes: it is no configuration, or move its key sets to jwksFile", MaxFileSize)}}
	}
	if !isText(data) {
		return nil, Errors{{File: name, Line: 1, Message: "the file is not UTF-8 text: save it as that"}}
	}
	file, documents := decodeDocuments(name, data)
	compiler := authenticationcel.NewDefaultCompiler()
	validate(file, compiler)

	var errs Errors
	for _, d := range documents {
		errs = append(errs, d.Errors()...)
	}
	if len(errs) > 0 {
		return nil, errs.Sorted()
	}
	return compile(file, compiler, data)
}

// compile makes a Config of documents that are valid.
func compile(file decodedFile, compiler authenticationcel.Compiler, data []byte) (*Config, error) {
	config := &Config{Digest: digestOf(data), Warnings: warnings(file, compiler)}
	if file.webhook.object != nil {
		config.Webhook = file.webhook.object.Spec
	}
	setWebhookDefaults(&config.Webhook)
	for _, jwt := range file.authentication.object.JWT {
		issuer := Issuer{Name: derivedName(jwt.Issuer.URL), JWT: jwt}
		if policy := file.policyOf(jwt.Issuer.URL); policy != nil {
			issuer.Name, issuer.Policy = policy.object.Metadata.Name, policy.object.Spec
		}
		setDefaults(&issuer.Policy, jwt.Issuer.URL, &config.Webhook)
		// Validation has compiled the same expressions without an error. Were that ever
		// to change, rules without a compiled form would be rules that nobody checks.
		expressions, errs := apiservervalidation.CompileAndValidateJWTAuthenticator(compiler, jwt, config.Webhook.DisallowedIssuers)
		if len(errs) > 0 {
			return nil, Errors{file.authentication.ErrorAt("", errs.ToAggregate().Error())}
		}
		issuer.Expressions = expressions
		config.Issuers = append(config.Issuers, issuer)
	}
	return config, nil
}

// policyOf returns the first policy for an issuer, nil if there is none.
func (f decodedFile) policyOf(issuer string) *decoded[v1alpha1.IssuerPolicy] {
	for i, policy := range f.policies {
		if policy.object != nil && policy.object.Spec.Issuer == issuer {
			return &f.policies[i]
		}
	}
	return nil
}

// derivedName is the name of an issuer that no policy names.
func derivedName(issuer string) string { return strings.TrimPrefix(issuer, "https://") }
