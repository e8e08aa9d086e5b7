package policy

// githubIndex finds the rules that may admit a token without looking at the others:
// whoever has an account on GitHub can send tokens, and ten thousand rules must not
// make each of them dear.
//
// A rule is filed once, under what it asks for that fewest tokens have. It is
// immutable.
type githubIndex struct {
	byRepository, byRepositoryID, byOwner, byOwnerID map[string][]int
	// rest are the rules without a literal owner, repository or id.
	rest []int
	// repositoryPins and ownerPins have the first rule that pins an id beside a name,
	// by the id: what was renamed is not found by its name.
	repositoryPins, ownerPins map[string]int
}

func newGitHubIndex(rules []githubRule) githubIndex {
	x := githubIndex{
		byRepository: map[string][]int{}, byRepositoryID: map[string][]int{}, byOwner: map[string][]int{}, byOwnerID: map[string][]int{},
		repositoryPins: map[string]int{}, ownerPins: map[string]int{},
	}
	for i := range rules {
		switch rule := &rules[i]; {
		case len(rule.conditions) == 0:
			// It would admit everybody. Validation refuses it; here nothing finds it.
		case rule.repository != "":
			x.byRepository[rule.repository] = append(x.byRepository[rule.repository], i)
			pin(x.repositoryPins, rule.repositoryID, i)
			pin(x.ownerPins, rule.ownerID, i)
		case rule.repositoryID != "":
			x.byRepositoryID[rule.repositoryID] = append(x.byRepositoryID[rule.repositoryID], i)
		case rule.owner != "":
			x.byOwner[rule.owner] = append(x.byOwner[rule.owner], i)
			pin(x.ownerPins, rule.ownerID, i)
		case rule.ownerID != "":
			x.byOwnerID[rule.ownerID] = append(x.byOwnerID[rule.ownerID], i)
		default:
			x.rest = append(x.rest, i)
		}
	}
	return x
}

func pin(pins map[string]int, id string, rule int) {
	if _, ok := pins[id]; !ok && id != "" {
		pins[id] = rule
	}
}

// find returns the rules that may admit the token, each once.
func (x *githubIndex) find(t *githubToken) [6][]int {
	owner := t.compared[githubOwner]
	found := [6][]int{
		x.byRepository[t.compared[githubRepository]],
		x.byRepositoryID[t.compared[githubRepositoryID]],
		x.byOwner[owner],
		nil,
		x.byOwnerID[t.compared[githubOwnerID]],
		x.rest,
	}
	// A rule may ask for either. GitHub gives both, and they agree.
	if other := ownerOf(t.compared[githubRepository]); other != owner {
		found[3] = x.byOwner[other]
	}
	return found
}

// findPins returns the rules that pin an id which the token has, beside a name. One
// may be there twice.
func (x *githubIndex) findPins(t *githubToken) []int {
	var found []int
	if i, ok := x.repositoryPins[t.compared[githubRepositoryID]]; ok {
		found = append(found, i)
	}
	if i, ok := x.ownerPins[t.compared[githubOwnerID]]; ok {
		found = append(found, i)
	}
	return found
}
