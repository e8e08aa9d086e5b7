// Package whoami prints users as "kubectl auth whoami" does.
package whoami

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Print prints the table that "kubectl auth whoami" prints when the webhook says
// that a token speaks for info: the API server adds the group
// system:authenticated.
func Print(w io.Writer, info authenticationv1.UserInfo) error {
	groups := info.Groups
	if !slices.Contains(groups, user.AllAuthenticated) {
		groups = append(slices.Clone(groups), user.AllAuthenticated)
	}
	table := NewTable(w)
	fmt.Fprint(table, "ATTRIBUTE\tVALUE\n")
	fmt.Fprintf(table, "Username\t%s\n", info.Username)
	if info.UID != "" {
		fmt.Fprintf(table, "UID\t%s\n", info.UID)
	}
	fmt.Fprintf(table, "Groups\t%v\n", groups)
	for _, key := range slices.Sorted(maps.Keys(info.Extra)) {
		fmt.Fprintf(table, "Extra: %s\t%v\n", key, info.Extra[key])
	}
	return table.Flush()
}

// NewTable returns a writer that lays out tab-separated columns as kubectl does.
func NewTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 6, 4, 3, ' ', 0)
}
