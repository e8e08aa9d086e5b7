package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tokenreview.dev/webhook/e2e/cluster"
	"tokenreview.dev/webhook/pkg/reason"
)

// A token says for an hour what was true when it was made out. That its pod has
// been deleted only the cluster that issued it knows, and is asked.
func TestATokenEndsWithItsPod(t *testing.T) {
	t.Parallel()
	const remembered = time.Second
	other := cluster.Start(t, binaries, cluster.Options{})
	cluster.Eventually(t, "the namespace default is there", 30*time.Second, func() error {
		return other.Kubectl(t, cluster.Credential{Token: other.AdminToken}, "get", "namespace", "default").Err()
	})
	for _, account := range []string{"deployer", "webhook"} {
		other.Admin(t, "create", "serviceaccount", account)
	}
	for _, pod := range []string{"jump", "stays"} {
		other.Admin(t, "run", pod, "--image=registry.example.com/pause", `--overrides={"spec":{"serviceAccountName":"deployer"}}`)
	}
	other.Admin(t, "apply", "--filename="+recipe("issuer-discovery"))
	createToken := func(account string, args ...string) string {
		t.Helper()
		return strings.TrimSpace(other.Admin(t, append([]string{"create", "token", account}, args...)...))
	}
	webhook := cluster.InstallWebhook(t, webhookBinary, cluster.Documents(t, authentication(object{
		"issuer":        object{"url": other.URL, "certificateAuthority": string(other.CertificateAuthority), "audiences": []string{"test"}},
		"claimMappings": object{"username": object{"claim": "sub", "prefix": "build:"}},
	}), object{
		"apiVersion": "tokenreview.dev/v1alpha1",
		"kind":       "IssuerPolicy",
		"metadata":   object{"name": "build"},
		"spec": object{"issuer": other.URL, "kubernetes": object{
			"clusterName":      "build",
			"allow":            []object{{"namespace": "default", "serviceAccount": "deploy*"}},
			"liveness":         "TokenReview",
			"kubeconfig":       other.Kubeconfig(t, cluster.Credential{Token: createToken("webhook")}),
			"livenessCacheTTL": remembered.String(),
		}},
	}))
	webhook.Start(t)
	server := cluster.Start(t, binaries, cluster.Options{WebhookKubeconfig: webhook.Kubeconfig, WebhookVersion: "v1", WebhookCacheTTL: remembered})
	podToken := func(pod string) cluster.Credential {
		t.Helper()
		return cluster.Credential{Token: createToken("deployer", "--audience=test", "--bound-object-kind=Pod", "--bound-object-name="+pod)}
	}
	jump, stays := podToken("jump"), podToken("stays")
	whoami := func(credential cluster.Credential) cluster.Result {
		return server.Kubectl(t, credential, "auth", "whoami")
	}

	// The webhook may not ask yet: nobody is let in, and the cure is named.
	wantRefusal(t, server, jump.Token, "build", reason.Refusal{Code: reason.LivenessUnavailable, Text: "system:auth-delegator"})
	other.Admin(t, "create", "clusterrolebinding", "webhook-asks", "--clusterrole=system:auth-delegator", "--serviceaccount=default:webhook")
	for _, pod := range []cluster.Credential{jump, stays} {
		cluster.Eventually(t, "the webhook may ask", 30*time.Second, func() error { return whoami(pod).Err() })
	}
	table := whoami(jump).Must(t)
	t.Logf("kubectl auth whoami\n%s", table)
	for _, line := range []string{
		"build:system:serviceaccount:default:deployer\n",
		"[build:system:serviceaccounts build:system:serviceaccounts:default system:authenticated]\n",
		"tokenreview.dev/cluster ", "[build]\n", "tokenreview.dev/pod-name ", "[jump]\n",
	} {
		if !strings.Contains(table, line) {
			t.Errorf("kubectl prints no %q", line)
		}
	}

	// The API server that issued it remembers an accepted token for 10 s, the webhook its
	// answer and this API server the webhook's for another second each. The rest is for
	// slow machines.
	other.Admin(t, "delete", "pod", "jump", "--grace-period=0", "--force")
	cluster.Eventually(t, "the token ends with its pod", 12*time.Second+20*time.Second, func() error { return errIfAccepted(whoami(jump)) })
	wantRefusal(t, server, jump.Token, "build", reason.Refusal{Code: reason.NotLive})
	whoami(stays).Must(t)

	other.Kill()
	cluster.Eventually(t, "nobody is let in while the cluster is away", time.Minute, func() error { return errIfAccepted(whoami(stays)) })
	wantRefusal(t, server, stays.Token, "build", reason.Refusal{Code: reason.LivenessUnavailable})
}

func errIfAccepted(result cluster.Result) error {
	if result.ExitCode == 0 {
		return errors.New("it is accepted still")
	}
	return nil
}
