package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxConsidered is how many rules a refusal looks at for those: of one owner there
// may be thousands.
const maxConsidered = 256

// maxNearMisses is how many rules a refusal speaks of.
const maxNearMisses = 3

// missKind is how a rule does not admit a token, the most telling first.
type missKind int

const (
	// otherRepositoryOfName: the name is the rule's, the id that it pins is not.
	otherRepositoryOfName missKind = iota
	// otherOwnerOfName: the same of the owner.
	otherOwnerOfName
	// otherRun: the repository is the rule's, the ref or the like is not.
	otherRun
	// renamedRepository: the id is the one that the rule pins, the name is not.
	renamedRepository
	// renamedOwner: the same of the owner.
	renamedOwner
	// otherRepository: the owner or an id is the rule's.
	otherRepository
	// stranger: the rule has nothing to do with the token.
	stranger
)

type nearMiss struct {
	index int
	rule  *githubRule
	kind  missKind
	// failed are the rule's conditions that do not hold.
	failed []*githubCondition
}

// explain says why no rule admits the token, by those that come nearest.
func (g *githubRules) explain(t *githubToken) string {
	var text strings.Builder
	fmt.Fprintf(&text, "no rule of githubActions.allow admits this token of %s (repository_id %s, repository_owner_id %s)",
		t.repository(), t.id(githubRepositoryID), t.id(githubOwnerID))
	separator := ": "
	for _, miss := range g.nearMisses(t) {
		fmt.Fprintf(&text, "%sallow[%d] %s", separator, miss.index, miss.describe(t))
		separator = "; "
	}
	return text.String()
}

// nearMisses returns the rules that come nearest to admitting the token, best first.
func (g *githubRules) nearMisses(t *githubToken) []nearMiss {
	var nearest []nearMiss
	left := maxConsidered
	consider := func(rules []int) {
		for _, i := range rules[:min(len(rules), left)] {
			left--
			miss := newNearMiss(i, &g.rules[i], t)
			at, found := slices.BinarySearchFunc(nearest, miss, func(a, b nearMiss) int {
				return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(len(a.failed), len(b.failed)), cmp.Compare(a.index, b.index))
			})
			if miss.kind != stranger && !found && at < maxNearMisses {
				nearest = slices.Insert(nearest, at, miss)
				nearest = nearest[:min(len(nearest), maxNearMisses)]
			}
		}
	}
	consider(g.index.findPins(t))
	for _, found := range g.index.find(t) {
		consider(found)
	}
	return nearest
}

func newNearMiss(index int, rule *githubRule, t *githubToken) nearMiss {
	miss := nearMiss{index: index, rule: rule, kind: stranger}
	owner := t.owner()
	ofRepository := rule.repository != "" && rule.repository == t.compared[githubRepository]
	ofOwner := rule.owner != "" && rule.owner == owner
	hasRepositoryID := rule.repositoryID != "" && rule.repositoryID == t.values[githubRepositoryID]
	hasOwnerID := rule.ownerID != "" && rule.ownerID == t.values[githubOwnerID]
	for i := range rule.conditions {
		condition := &rule.conditions[i]
		if condition.holds(t) {
			continue
		}
		miss.failed = append(miss.failed, condition)
		// Those that say whose repository it is come first. Of a rule for others than this
		// token's owner no more needs to be known: there may be thousands of such.
		if condition.claim <= githubOwner && !ofRepository && !ofOwner && !hasRepositoryID && !hasOwnerID {
			return miss
		}
	}
	switch {
	case ofRepository && miss.failedAt(githubRepositoryID) != nil && t.values[githubRepositoryID] != "":
		miss.kind = otherRepositoryOfName
	case ofOwner && miss.failedAt(githubOwnerID) != nil && t.values[githubOwnerID] != "":
		miss.kind = otherOwnerOfName
	case miss.failed[0].claim > githubOwner:
		miss.kind = otherRun
	case hasRepositoryID && miss.failedAt(githubRepository, githubOwner) != nil && t.values[githubRepository] != "":
		miss.kind = renamedRepository
	case hasOwnerID && rule.owner != "" && !ofOwner && owner != "":
		miss.kind = renamedOwner
	case ofOwner || hasRepositoryID || hasOwnerID:
		miss.kind = otherRepository
	}
	return miss
}

// failedAt returns the first failed condition that is about one of the claims.
func (m *nearMiss) failedAt(claims ...githubClaim) *githubCondition {
	for _, condition := range m.failed {
		if slices.Contains(claims, condition.claim) {
			return condition
		}
	}
	return nil
}

// describe says how the rule does not admit the token, as what follows its name.
func (m *nearMiss) describe(t *githubToken) string {
	switch m.kind {
	case otherRepositoryOfName:
		return fmt.Sprintf("admits %s with the repository_id %s, and this token is of a repository of that name with the id %s: either the name has been given to another repository, or the rule has the wrong id",
			t.repository(), m.rule.repositoryID, printed(t.values[githubRepositoryID]))
	case otherOwnerOfName:
		return fmt.Sprintf("admits the owner %s with the repository_owner_id %s, and this token is of an owner of that name with the id %s: either the name has been given to another owner, or the rule has the wrong id",
			printed(t.owner()), m.rule.ownerID, printed(t.values[githubOwnerID]))
	case otherRun:
		return fmt.Sprintf("admits %s, but not %s", t.repository(), m.failed[0].describe(t))
	case renamedRepository:
		name := m.failedAt(githubRepository, githubOwner)
		return fmt.Sprintf("admits the repository_id %s with the %s %.200q, and that repository is %s now: it was renamed or transferred; change the rule if it may still come in",
			m.rule.repositoryID, name.claim.name(), name.given[0], t.repository())
	case renamedOwner:
		return fmt.Sprintf("admits the repository_owner_id %s with the repository_owner %.200q, and that owner is %s now: it was renamed; change the rule if it may still come in",
			m.rule.ownerID, m.rule.owner, printed(t.owner()))
	default:
		return "does not admit " + cmp.Or(m.failedAt(githubRepository, githubOwner), m.failed[0]).describe(t)
	}
}

// describe says what the token has and what the condition wants.
func (c *githubCondition) describe(t *githubToken) string {
	has := fmt.Sprintf("the %s %.200q", c.claim.name(), t.values[c.claim])
	switch {
	case t.notText[c.claim]:
		has = fmt.Sprintf("this token, as its %s is no text", c.claim.name())
	case t.values[c.claim] == "":
		has = fmt.Sprintf("a token without text in its claim %s", c.claim.name())
	}
	if c.claim <= githubOwner {
		return fmt.Sprintf("%s: it wants %.200q", has, c.given[0])
	}
	const shown = 5
	more := ""
	if len(c.given) > shown {
		more = fmt.Sprintf(" and %d more", len(c.given)-shown)
	}
	return fmt.Sprintf("%s: it wants one of %.100q%s", has, c.given[:min(len(c.given), shown)], more)
}

// repository is the repository's name for people.
func (t *githubToken) repository() string {
	return cmp.Or(printed(t.values[githubRepository]), "a repository without a name")
}

// id is the id in one of the claims for people.
func (t *githubToken) id(claim githubClaim) string {
	if t.notText[claim] {
		return "no text"
	}
	return cmp.Or(printed(t.values[claim]), "none")
}

// owner is the owner's name in lower case.
func (t *githubToken) owner() string {
	return cmp.Or(t.compared[githubOwner], ownerOf(t.compared[githubRepository]))
}
