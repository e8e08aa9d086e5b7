package main

import (
	"bytes"
	"os"
	"testing"

	"tokenreview.dev/webhook/manifests/examples"
)

func TestAnExampleIsPrintedByteForByte(t *testing.T) {
	list, err := examples.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range list {
		t.Run(example.Name, func(t *testing.T) {
			for file, args := range map[string][]string{
				example.Name + ".yaml":      {example.Name},
				example.Name + ".test.yaml": {example.Name, "--test"},
			} {
				want, err := os.ReadFile("../../manifests/examples/" + file)
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				cmd := newExampleCommand()
				cmd.SetOut(&out)
				cmd.SetArgs(args)
				if err := cmd.Execute(); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.Bytes(), want) {
					t.Errorf("%s: got:\n%s", file, out.Bytes())
				}
			}
		})
	}
}
