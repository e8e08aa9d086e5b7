package keyedhash_test

import (
	"strings"
	"testing"

	"tokenreview.dev/webhook/internal/keyedhash"
)

func TestNoTwoListsHaveTheSameName(t *testing.T) {
	names, others := keyedhash.New(nil), keyedhash.New(nil)
	long := strings.Repeat("x", 1<<10)
	seen := make(map[keyedhash.Sum][]string)
	for _, texts := range [][]string{
		nil, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"b", "a"}, {"a", "\x00\x00\x00\x00\x00\x00\x00\x01b"}, {"a\x00\x00\x00\x00\x00\x00\x00\x01b"},
		{long}, {long[1:]}, {long + "x"}, {long + "y"}, {long, "x"}, {long + long}, {long, long}, {long + long + "x"},
	} {
		name := names.Texts(texts...)
		if same, ok := seen[name]; ok {
			t.Errorf("expected names of their own for %.20q and %.20q", same, texts)
		}
		seen[name] = texts
		if names.Texts(texts...) != name {
			t.Errorf("expected the same name for the same texts %.20q", texts)
		}
		if others.Texts(texts...) == name {
			t.Errorf("expected another key to give %.20q another name", texts)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	names, token := keyedhash.New(nil), strings.Repeat("token", 300)
	b.ReportAllocs()
	for b.Loop() {
		names.Texts(token, "audience")
	}
}
