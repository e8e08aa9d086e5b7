package monitoring

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// ruleFile is a rule file of Prometheus.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func (f ruleFile) all() []rule {
	var all []rule
	for _, group := range f.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

func (f ruleFile) alerts() []rule {
	var alerts []rule
	for _, rule := range f.all() {
		if rule.Alert != "" {
			alerts = append(alerts, rule)
		}
	}
	return alerts
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readRules(t *testing.T) ruleFile {
	t.Helper()
	var file ruleFile
	if err := yaml.Unmarshal([]byte(read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// dashboardFile is a dashboard of Grafana, as far as it is looked at here.
type dashboardFile struct {
	Annotations struct {
		List []struct {
			Expr       string
			Datasource datasource
		}
	}
	Panels     []panel
	Templating struct {
		List []struct {
			Name, Type, Definition string
			Datasource             datasource
		}
	}
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  datasource
	GridPos     struct{ H, W, X, Y int }
	Panels      []panel
	Targets     []target
}

type target struct {
	RefID, Expr string
	Datasource  datasource
}

type datasource struct{ Type, UID string }

func readDashboard(t *testing.T) dashboardFile {
	t.Helper()
	var file dashboardFile
	if err := json.Unmarshal([]byte(read(t, dashboard)), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// panels are those that draw something.
func (f dashboardFile) panels() []panel {
	var all []panel
	for _, panel := range f.Panels {
		if panel.Type != "row" {
			all = append(all, panel)
		}
	}
	return all
}

// substitute puts values in the place of Grafana's variables.
func substitute(expression string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$issuer", ".*").Replace(expression)
}
