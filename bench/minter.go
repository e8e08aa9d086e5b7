package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"tokenreview.dev/webhook/internal/issuertest"
)

// minter signs tokens that differ in their jti alone. It is safe for concurrent use.
type minter struct {
	key           issuertest.Key
	before, after []byte // jti, in the payload
	serial        atomic.Int64
}

func newMinter(key issuertest.Key, claims issuertest.Claims) (*minter, error) {
	const place = "the place of jti"
	payload, err := json.Marshal(claims.With(issuertest.Claims{"jti": place}))
	if err != nil {
		return nil, err
	}
	m := &minter{key: key}
	m.before, m.after, _ = bytes.Cut(payload, []byte(place))
	return m, nil
}

// next signs another token. As long as a UUID, its jti makes all of them equally long.
func (m *minter) next() string {
	payload := fmt.Appendf(bytes.Clone(m.before), "72b5e0be-16a1-46d2-930a-%012d", m.serial.Add(1))
	return m.key.SignPayload(append(payload, m.after...))
}

// many signs n more tokens, on all cores.
func (m *minter) many(n int) []string {
	tokens := make([]string, n)
	var workers sync.WaitGroup
	var taken atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := taken.Add(1) - 1; i < int64(n); i = taken.Add(1) - 1 {
				tokens[i] = m.next()
			}
		})
	}
	workers.Wait()
	return tokens
}
