package v1alpha1

// GitHubActions decides by the claims of a GitHub Actions token, never by its sub,
// which an owner can redefine.
type GitHubActions struct {
	// AllowAnyRepository says that whoever can run a workflow anywhere on GitHub
	// may come in. Default false.
	AllowAnyRepository bool `json:"allowAnyRepository,omitempty"`
	// Allow lists who may come in; any rule admits.
	Allow []GitHubActionsRule `json:"allow,omitempty"`
}

// GitHubActionsRule admits a token of which every field given here matches. In
// Repository, Owner, Refs, Environments and Workflows "*" is any run of characters
// but "/", "**" any run, all else is literal, and the whole value must match.
type GitHubActionsRule struct {
	// Repository is OWNER/NAME, the claim repository, in any case.
	Repository string `json:"repository,omitempty"`
	// RepositoryID is the claim repository_id: it survives a rename, and a
	// re-created name does not have it.
	RepositoryID string `json:"repositoryID,omitempty"`
	// Owner is the claim repository_owner, in any case.
	Owner string `json:"owner,omitempty"`
	// OwnerID is the claim repository_owner_id.
	OwnerID string `json:"ownerID,omitempty"`
	// Refs are values of the claim ref, such as refs/heads/main.
	Refs []string `json:"refs,omitempty"`
	// Environments are values of the claim environment.
	Environments []string `json:"environments,omitempty"`
	// Events are values of the claim event_name, such as push.
	Events []string `json:"events,omitempty"`
	// Workflows are values of the claim job_workflow_ref.
	Workflows []string `json:"workflows,omitempty"`
	// RunnerEnvironments are values of the claim runner_environment: github-hosted
	// or self-hosted.
	RunnerEnvironments []string `json:"runnerEnvironments,omitempty"`
	// Visibilities are values of the claim repository_visibility: public, private
	// or internal.
	Visibilities []string `json:"visibilities,omitempty"`
	// Groups are added to the user's groups when this rule admits.
	Groups []string `json:"groups,omitempty"`
}
