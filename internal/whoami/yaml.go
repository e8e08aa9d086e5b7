package whoami

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// YAML writes a value made of texts, lists and booleans in the YAML of its JSON, as
// kubectl does. Every text comes back from it as it is: a strange one, which may be a
// stranger's, is written with escapes.
// (To read JSON as YAML, as others do for this, refuses some characters and takes
// U+0085 for a space.)
func YAML(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var members any
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(members); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}
