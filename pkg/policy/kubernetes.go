package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"k8s.io/apimachinery/pkg/util/validation"

	"tokenreview.dev/webhook/pkg/api/v1alpha1"
	"tokenreview.dev/webhook/pkg/issuers"
	"tokenreview.dev/webhook/pkg/reason"
)

// serviceAccountPrefix begins the sub of every service-account token.
const serviceAccountPrefix = "system:serviceaccount:"

// The extras of an account of another cluster. They are not those that Kubernetes
// gives its own accounts (authentication.kubernetes.io/pod-name and so on): this
// cluster's policy takes such for one of its own pods.
const (
	extraCluster           = "tokenreview.dev/cluster"
	extraPodName           = "tokenreview.dev/pod-name"
	extraPodUID            = "tokenreview.dev/pod-uid"
	extraNodeName          = "tokenreview.dev/node-name"
	extraServiceAccountUID = "tokenreview.dev/serviceaccount-uid"
)

// maxObjectName is the longest name that Kubernetes gives an object, a DNS-1123
// subdomain. What a pattern with stars costs grows with the square of what it is
// compared with, which the other cluster chooses.
const maxObjectName = validation.DNS1123SubdomainMaxLength

// boundObjects is the claim "kubernetes.io" of a bound service-account token:
// kube-apiserver's pkg/serviceaccount, type kubernetes.
type boundObjects struct {
	Namespace      string      `json:"namespace"`
	ServiceAccount boundObject `json:"serviceaccount"`
	Pod            boundObject `json:"pod"`
	Node           boundObject `json:"node"`
}

type boundObject struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// serviceAccounts admits service-account tokens of another cluster.
type serviceAccounts struct {
	cluster string
	allow   []serviceAccountRule
}

type serviceAccountRule struct {
	namespace, serviceAccount Pattern
	uid                       string
}

func newServiceAccounts(spec *v1alpha1.Kubernetes) *serviceAccounts {
	accounts := &serviceAccounts{cluster: spec.ClusterName}
	for _, rule := range spec.Allow {
		accounts.allow = append(accounts.allow, serviceAccountRule{
			namespace:      NewPattern(rule.Namespace),
			serviceAccount: NewPattern(rule.ServiceAccount),
			uid:            rule.UID,
		})
	}
	return accounts
}

func (s *serviceAccounts) check(_ context.Context, r *review) reason.Refusal {
	refuse := func(text string) reason.Refusal {
		return reason.Refusal{Code: reason.ServiceAccountNotAllowed, Text: text}
	}
	bound, problem := readBoundObjects(r.Claims)
	if problem != "" {
		return refuse(problem)
	}
	rule, nearest := s.admit(bound)
	if rule < 0 && len(s.allow) > 0 {
		return refuse(fmt.Sprintf("no rule of kubernetes.allow admits the account %s/%s with the uid %s%s",
			printed(bound.Namespace), printed(bound.ServiceAccount.Name), printed(bound.ServiceAccount.UID), nearest))
	}
	if r.traced {
		admits := "without rules, every account is admitted:"
		if rule >= 0 {
			admits = fmt.Sprintf("allow[%d] admits", rule)
		}
		r.note = fmt.Sprintf("%s %s/%s", admits, printed(bound.Namespace), printed(bound.ServiceAccount.Name))
	}
	s.add(&r.added, bound)
	return reason.Refusal{}
}

// readBoundObjects reads the claim "kubernetes.io", which must say the same as sub.
// The tokens of old, from a Secret, do not have it: they never end and are for
// every audience.
func readBoundObjects(claims *issuers.Claims) (bound boundObjects, problem string) {
	raw, ok := claims.Get("kubernetes.io")
	if !ok || raw.Kind() != '{' {
		return bound, "the token is not a bound service-account token: it has no object kubernetes.io; legacy tokens from a Secret are never accepted"
	}
	if err := json.Unmarshal(raw, &bound); err != nil {
		return bound, "kubernetes.io: a member of it is not of the form that Kubernetes gives it"
	}
	if max(len(bound.Namespace), len(bound.ServiceAccount.Name)) > maxObjectName {
		return bound, fmt.Sprintf("kubernetes.io: the namespace or the account has a name of more than %d bytes, which no cluster gives", maxObjectName)
	}
	if bound.Namespace == "" || bound.ServiceAccount.Name == "" || bound.ServiceAccount.UID == "" {
		return bound, "kubernetes.io: it does not name the namespace, name and uid of a service account"
	}
	subject, err := claims.String("sub")
	if err != nil {
		return bound, fmt.Sprintf("sub: %v", err)
	}
	if want := serviceAccountPrefix + bound.Namespace + ":" + bound.ServiceAccount.Name; subject != want {
		return bound, fmt.Sprintf("sub is %.200q, and kubernetes.io is about %.200q", subject, want)
	}
	return bound, ""
}

// admit returns the index of the first rule that admits the account, or -1 and what
// is to be said about a rule that came close.
func (s *serviceAccounts) admit(bound boundObjects) (rule int, nearest string) {
	nearest = "; none is for its namespace"
	ofNamespace, uidAlone := false, false
	for i, rule := range s.allow {
		named := rule.namespace.MatchOrAny(bound.Namespace) && rule.serviceAccount.MatchOrAny(bound.ServiceAccount.Name)
		switch {
		case named && (rule.uid == "" || rule.uid == bound.ServiceAccount.UID):
			return i, ""
		case named && !uidAlone:
			uidAlone = true
			nearest = fmt.Sprintf("; allow[%d] wants the uid %s", i, rule.uid)
			if rule.namespace.text != "" && rule.serviceAccount.text != "" && rule.namespace.IsLiteral() && rule.serviceAccount.IsLiteral() {
				nearest += ": either the account was deleted and made again, or the rule has the wrong uid"
			}
		case !ofNamespace && !uidAlone && rule.namespace.MatchOrAny(bound.Namespace):
			ofNamespace = true
			nearest = fmt.Sprintf("; allow[%d] is for its namespace and wants the serviceAccount %.200q", i, rule.serviceAccount.text)
		}
	}
	return -1, nearest
}

// add gives the account the groups that Kubernetes gives its own, behind the
// cluster's name, and extras that say what it is bound to.
func (s *serviceAccounts) add(to *addition, bound boundObjects) {
	all := s.cluster + ":system:serviceaccounts"
	to.groups = append(to.groups, all, all+":"+bound.Namespace)
	extra := map[string][]string{extraCluster: {s.cluster}, extraServiceAccountUID: {bound.ServiceAccount.UID}}
	for key, value := range map[string]string{
		extraPodName: bound.Pod.Name, extraPodUID: bound.Pod.UID, extraNodeName: bound.Node.Name,
	} {
		if value != "" {
			extra[key] = []string{value}
		}
	}
	to.extra = extra
}

// printed is a name as it is, or quoted where it is none that Kubernetes gives.
func printed(name string) string {
	if strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) || len(name) > maxObjectName {
		return fmt.Sprintf("%.200q", name)
	}
	return name
}
