package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"tokenreview.dev/webhook/internal/issuertest"
	"tokenreview.dev/webhook/pkg/config"
)

// verifying is nothing but the check of a token's RS256 signature, its hash included.
func verifying(key issuertest.Key, token string) (subject, error) {
	public, ok := key.Private.Public().(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("expected an RSA key, got %T", key.Private.Public())
	}
	end := strings.LastIndexByte(token, '.')
	signed := []byte(token[:end])
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	return func() error {
		digest := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
	}, err
}

// upstreamOf makes kube-apiserver's own authenticator for the only issuer of a
// configuration, its keys fetched.
func upstreamOf(ctx context.Context, loaded *config.Config) (authenticator.Token, error) {
	jwt := loaded.Issuers[0].JWT
	ca, err := dynamiccertificates.NewStaticCAContent("issuer", []byte(jwt.Issuer.CertificateAuthority))
	if err != nil {
		return nil, err
	}
	upstream, err := oidc.New(ctx, oidc.Options{
		JWTAuthenticator:     jwt,
		CAContentProvider:    ca,
		SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
	})
	if err != nil {
		return nil, err
	}
	// It fetches in the background and has nothing to wait for but this.
	err = wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return upstream.HealthCheck() == nil, nil
	})
	if err != nil {
		return nil, errors.Join(err, upstream.HealthCheck())
	}
	return upstream, nil
}

// authenticating is upstream's decision about one token.
func authenticating(ctx context.Context, upstream authenticator.Token, token string) subject {
	return func() error {
		response, ok, err := upstream.AuthenticateToken(ctx, token)
		if err == nil && (!ok || response.User == nil) {
			err = errors.New("it is not the issuer's")
		}
		if err != nil {
			return fmt.Errorf("upstream refuses a good token: %w", err)
		}
		return nil
	}
}
