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
			want, err := os.ReadFile("../../manifests/examples/" + example.Name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			cmd := newExampleCommand()
			cmd.SetOut(&out)
			cmd.SetArgs([]string{example.Name})
			if err := cmd.Execute(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("got:\n%s", out.Bytes())
			}
		})
	}
}
