package config

import "tokenreview.dev/webhook/internal/strictyaml"

// Error is one thing that is wrong in a configuration file, and where. It never
// quotes key material.
type Error = strictyaml.Error

// Errors is everything that is wrong in a configuration file, in the order of the
// file.
type Errors = strictyaml.Errors

type document = strictyaml.Document
