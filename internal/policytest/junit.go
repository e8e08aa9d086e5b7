package policytest

import (
	"encoding/xml"
	"io"

	"tokenreview.dev/webhook/internal/whoami"
)

// The elements of JUnit's XML that pipelines read.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitProblem `xml:"failure"`
		Error   *junitProblem `xml:"error"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes results as JUnit's XML: a suite for each file. A file that
// cannot be used is a suite with one error. What XML has no place for, control
// characters above all, becomes U+FFFD.
func WriteJUnit(w io.Writer, files []FileResult) error {
	var report junitReport
	for i := range files {
		suite := newJUnitSuite(&files[i])
		report.Tests += suite.Tests
		report.Failures += suite.Failures
		report.Errors += suite.Errors
		report.Suites = append(report.Suites, suite)
	}
	data, err := xml.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append([]byte(xml.Header), append(data, '\n')...))
	return err
}

func newJUnitSuite(file *FileResult) junitSuite {
	if file.Err != nil {
		return junitSuite{Name: file.File, Tests: 1, Errors: 1, Cases: []junitCase{{
			Class: file.File, Name: "the file can be used",
			Error: &junitProblem{Message: "the file cannot be used", Text: file.Err.Error()},
		}}}
	}
	suite := junitSuite{Name: file.File, Tests: len(file.Results), Failures: file.failed()}
	for i := range file.Results {
		result := &file.Results[i]
		one := junitCase{Class: result.Test, Name: result.Case}
		if !result.Passed() {
			one.Failure = &junitProblem{Message: whoami.Printable(result.summary()), Text: result.explain()}
		}
		suite.Cases = append(suite.Cases, one)
	}
	return suite
}
