package policytest_test

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"tokenreview.dev/webhook/internal/policytest"
)

// Every policy test that the project ships, and beside every acceptance
// configuration there is one.
func TestManifestsDecideAsWritten(t *testing.T) {
	const manifests = "../../manifests"
	var tests []string
	err := filepath.WalkDir(manifests, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".test.yaml") && !strings.Contains(path, "/monitoring/") {
			tests = append(tests, path)
		}
		return err
	})
	if err != nil || len(tests) == 0 {
		t.Fatalf("%v, %d files", err, len(tests))
	}
	tested := map[string]bool{}
	for _, file := range tests {
		tested[strings.TrimSuffix(file, ".test.yaml")] = true
		t.Run(file, func(t *testing.T) {
			result := runFile(t, file, nil)
			if !result.Passed() {
				var report bytes.Buffer
				_ = policytest.WriteText(&report, []policytest.FileResult{result}, false)
				t.Error(report.String())
			}
		})
	}
	configurations, err := filepath.Glob(manifests + "/acceptance/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range configurations {
		if name := strings.TrimSuffix(file, ".yaml"); !strings.HasSuffix(name, ".test") && !tested[name] {
			t.Errorf("there is no policy test beside %s", file)
		}
	}
}
