package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"tokenreview.dev/webhook/pkg/entra"
)

// validateEnum wants one of a few words; empty is the default.
func validateEnum[T ~string](value T, path *field.Path, words ...T) field.ErrorList {
	if value == "" || slices.Contains(words, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, words)}
}

// validateText wants a value or pattern that some claim can match.
func validateText(text string, path *field.Path) field.ErrorList {
	switch {
	case text == "":
		return field.ErrorList{field.Required(path, "an empty text matches nothing: fill it in or remove it")}
	case strings.ContainsFunc(text, unicode.IsControl):
		return field.ErrorList{field.Invalid(path, text, "must not contain control characters")}
	case strings.TrimSpace(text) != text:
		return field.ErrorList{field.Invalid(path, text, "must not begin or end with a space")}
	}
	return nil
}

// validateForm is validateText that wants a form too; detail says which.
func validateForm(fits func(string) bool, detail string) func(string, *field.Path) field.ErrorList {
	return func(text string, path *field.Path) field.ErrorList {
		if errs := validateText(text, path); len(errs) > 0 || fits(text) {
			return errs
		}
		return field.ErrorList{field.Invalid(path, text, detail)}
	}
}

// validateTexts wants a list of them, each once. An empty list that is given is
// taken for a mistake: it looks like "none" and would mean "any".
func validateTexts(texts []string, path *field.Path) field.ErrorList {
	return validateEach(texts, path, validateText)
}

func validateEach(texts []string, path *field.Path, validate func(string, *field.Path) field.ErrorList) field.ErrorList {
	if texts != nil && len(texts) == 0 {
		return field.ErrorList{field.Required(path, "the list is empty: fill it in or remove it")}
	}
	var errs field.ErrorList
	seen := make(map[string]bool, len(texts))
	for i, text := range texts {
		if seen[text] {
			errs = append(errs, field.Duplicate(path.Index(i), text))
			continue
		}
		seen[text] = true
		errs = append(errs, validate(text, path.Index(i))...)
	}
	return errs
}

// validateWord is validateEnum for a list's members.
func validateWord(words ...string) func(string, *field.Path) field.ErrorList {
	return func(word string, path *field.Path) field.ErrorList {
		if slices.Contains(words, word) {
			return nil
		}
		return field.ErrorList{field.NotSupported(path, word, words)}
	}
}

// validateGUID wants the form in which Entra writes its ids.
func validateGUID(id string, path *field.Path) field.ErrorList {
	if entra.IsGUID(id) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, id, "must be a GUID such as de5169f1-9a13-45fe-a4cf-07feee258b7f")}
}

// validatePositive wants a duration above zero; nil is the default.
func validatePositive(duration *metav1.Duration, path *field.Path) field.ErrorList {
	if duration == nil || duration.Duration > 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, duration.Duration.String(), "must be above zero")}
}

// maxCacheTTL is how long somebody else's answer may be remembered: what has
// changed there goes unseen for that long.
const maxCacheTTL = time.Hour

// validateTTL wants a duration from zero, which is no cache, to longest; nil is the
// default.
func validateTTL(ttl *metav1.Duration, longest time.Duration, path *field.Path) field.ErrorList {
	if ttl == nil || ttl.Duration >= 0 && ttl.Duration <= longest {
		return nil
	}
	return field.ErrorList{field.Invalid(path, ttl.Duration.String(), fmt.Sprintf(
		"must be from 0s, which remembers nothing, to %s: what changes meanwhile goes unseen", duration.HumanDuration(longest)))}
}

// validateAbsolute wants an absolute path: the file's folder and the webhook's
// working directory are not the same, and either could be meant.
func validateAbsolute(name string, path *field.Path) field.ErrorList {
	if name == "" || filepath.IsAbs(name) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "must be an absolute path")}
}
