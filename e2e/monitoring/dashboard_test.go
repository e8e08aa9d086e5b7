package monitoring

import (
	"strings"
	"testing"
)

// Grafana shows what it can of a dashboard that is wrong, and does not say so.
func TestTheDashboardIsOneForAnyGrafana(t *testing.T) {
	file := readDashboard(t)
	if len(file.panels()) < 20 {
		t.Fatalf("expected panels, got %d", len(file.panels()))
	}
	ids := map[int]string{}
	type cell struct{ x, y int }
	taken := map[cell]string{}
	for _, panel := range file.Panels {
		if other, ok := ids[panel.ID]; ok || panel.ID == 0 {
			t.Errorf("%s has the id %d of %q", panel.Title, panel.ID, other)
		}
		ids[panel.ID] = panel.Title
		at := panel.GridPos
		if at.W < 1 || at.H < 1 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("%s: expected a place within 24 columns, got %+v", panel.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[cell{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", panel.Title, other)
				}
				taken[cell{x, y}] = panel.Title
			}
		}
		if panel.Type == "row" {
			continue
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%s: expected something to be asked for", panel.Title)
		}
		sources := []datasource{panel.Datasource}
		for _, target := range panel.Targets {
			sources = append(sources, target.Datasource)
			wantFiltered(t, panel.Title, target.Expr)
		}
		for _, source := range sources {
			if source != chosen() {
				t.Errorf("%s: expected the data source that is chosen, got %v", panel.Title, source)
			}
		}
	}
	for _, annotation := range file.Annotations.List {
		if annotation.Expr != "" && annotation.Datasource != chosen() {
			t.Errorf("expected the annotation to be from the data source that is chosen, got %v", annotation.Datasource)
		}
	}
	var variables []string
	for _, variable := range file.Templating.List {
		variables = append(variables, variable.Name)
		if variable.Type == "query" && variable.Datasource != chosen() {
			t.Errorf("variable %s: expected the data source that is chosen, got %v", variable.Name, variable.Datasource)
		}
	}
	if got := strings.Join(variables, " "); got != "datasource job instance issuer" {
		t.Errorf("expected the variables datasource, job, instance and issuer, got %s", got)
	}
}

// chosen is the data source that people choose above the dashboard.
func chosen() datasource { return datasource{"prometheus", "${datasource}"} }

// wantFiltered wants every metric of the webhook to be that of the chosen jobs and instances.
func wantFiltered(t *testing.T, panel, expression string) {
	t.Helper()
	for _, metric := range references(expression) {
		have := map[string]string{}
		for _, matched := range metric.labels {
			have[matched.label] = matched.operator + matched.value
		}
		if metric.metric != "ALERTS" && (have["job"] != "=~$job" || have["instance"] != "=~$instance") {
			t.Errorf("%s: %s is not filtered by job and instance: %v", panel, metric.metric, have)
		}
	}
}
