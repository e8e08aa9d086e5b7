package main

import (
	"context"
	"log/slog"
	"time"

	"tokenreview.dev/webhook/internal/server"
	"tokenreview.dev/webhook/pkg/audit"
	"tokenreview.dev/webhook/pkg/config"
	"tokenreview.dev/webhook/pkg/policy"
	"tokenreview.dev/webhook/pkg/tokenreview"
)

// reloader puts a changed configuration file in force.
type reloader struct {
	file     string
	building config.Options
	reviewer *tokenreview.Reviewer
	audit    *audit.Log
	health   *server.Health
	log      *slog.Logger
}

const (
	// keysWait is how long the keys of new issuers are waited for before a configuration
	// is put in force without them.
	keysWait = 2 * time.Second
	// savedKeysWait is how long where an issuer's tokens can be verified already, with keys
	// that were saved or stand in the configuration.
	savedKeysWait = time.Second
)

func awaitKeys(ctx context.Context, rules *tokenreview.Rules) {
	wait := keysWait
	for _, status := range rules.Issuers.Statuses() {
		if status.Err == nil {
			wait = savedKeysWait
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	rules.Issuers.AwaitFirstFetch(ctx)
}

func (r *reloader) watch(ctx context.Context, digest string) {
	config.Watch(ctx, r.file, digest, func(data []byte, err error) {
		if err == nil {
			err = r.apply(ctx, data)
		}
		if err != nil {
			r.health.Reloaded(err)
			r.log.Error("the changed configuration is not used; the one from before goes on", "err", err)
		}
	})
}

// apply puts a configuration in force if it is valid as a whole.
func (r *reloader) apply(ctx context.Context, data []byte) error {
	loaded, err := config.Parse(r.file, data)
	if err != nil {
		return err
	}
	before := r.reviewer.Rules()
	rules, err := loaded.Build(before, r.building)
	if err != nil {
		return err
	}
	awaitKeys(ctx, rules)
	// Before the rules: fingerprints by the key of before are not remembered with them.
	r.useAudit(loaded)
	r.reviewer.Use(rules)
	before.Issuers.Close(rules.Issuers)
	closeReplaced(before, rules)
	r.loaded(loaded, rules)
	return nil
}

// useAudit has decisions recorded as a configuration says.
func (r *reloader) useAudit(loaded *config.Config) {
	if err := r.audit.Use(loaded.AuditConfig()); err != nil {
		r.log.Warn("the audit log does without it until the configuration is read again", "err", err)
	}
}

// loaded tells people that a configuration is in force.
func (r *reloader) loaded(loaded *config.Config, rules *tokenreview.Rules) {
	r.health.Reloaded(nil)
	for _, warning := range loaded.Warnings {
		r.log.Warn("configuration: " + warning.Error())
	}
	for _, issuer := range loaded.Issuers {
		for _, problem := range unreadable(rules.Policies[issuer.Name]) {
			r.log.Warn("whom the policy asks cannot be asked until this is put right", "issuer", issuer.Name, "err", problem)
		}
	}
	r.log.Info("configuration in force", "file", r.file, "digest", loaded.Digest, "issuers", len(loaded.Issuers))
}

// unreadable says which files cannot be used with which a policy asks others. The
// server starts all the same: the file may come later, and other issuers' tokens do
// not need it.
func unreadable(decides *policy.Policy) []error {
	var problems []error
	groups, live := decides.Asked()
	for _, asked := range []any{groups, live} {
		if files, ok := asked.(interface{ CheckFiles() error }); ok {
			if err := files.CheckFiles(); err != nil {
				problems = append(problems, err)
			}
		}
	}
	return problems
}

// closeReplaced closes the connections to those whom the rules from before asked and
// the new ones do not. A review that is under way opens another.
func closeReplaced(before, rules *tokenreview.Rules) {
	goOn := asked(rules)
	for other := range asked(before) {
		if replaced, ok := other.(interface{ Close() }); ok && !goOn[other] {
			replaced.Close()
		}
	}
}

// asked are those whom rules ask while a token is decided.
func asked(rules *tokenreview.Rules) map[any]bool {
	all := map[any]bool{}
	for _, decides := range rules.Policies {
		groups, live := decides.Asked()
		all[groups], all[live] = true, true
	}
	return all
}
