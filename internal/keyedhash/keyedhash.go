// Package keyedhash names tokens: without the key, a name tells nothing of the token.
package keyedhash

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// Sum is the name of a text, or of a list of texts.
type Sum [sha256.Size]byte

// Hash makes HMAC-SHA-256 (RFC 2104) sums. It is safe for concurrent use.
type Hash struct{ idle sync.Pool }

// New returns a Hash with a key, a random one of its own if that is nil.
func New(key []byte) *Hash {
	if key == nil {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
	}
	return &Hash{idle: sync.Pool{New: func() any { return &state{mac: hmac.New(sha256.New, key)} }}}
}

// Text returns the HMAC of text itself, which anybody who has the key can make.
func (h *Hash) Text(text string) Sum {
	s := h.begin()
	defer h.idle.Put(s)
	s.write(text)
	return s.sum()
}

// Bytes is Text of data.
func (h *Hash) Bytes(data []byte) Sum {
	s := h.begin()
	defer h.idle.Put(s)
	_, _ = s.mac.Write(data)
	return s.sum()
}

// Texts returns the name of a list; no two lists have the same.
func (h *Hash) Texts(texts ...string) Sum {
	s := h.begin()
	defer h.idle.Put(s)
	for _, text := range texts {
		s.writeLength(text)
		s.write(text)
	}
	return s.sum()
}

func (h *Hash) begin() *state {
	s := h.idle.Get().(*state)
	s.mac.Reset()
	return s
}

// state is what a sum is made in, so that it costs no allocation.
type state struct {
	mac hash.Hash // whose Write never fails
	// part is of a text, of which there is no copy as a whole.
	part [1 << 10]byte
}

func (s *state) write(text string) {
	for len(text) > 0 {
		n := copy(s.part[:], text)
		_, _ = s.mac.Write(s.part[:n])
		text = text[n:]
	}
	clear(s.part[:]) // It may be a token.
}

// writeLength is for before each of several texts, so that no two lists are written alike.
func (s *state) writeLength(text string) {
	_, _ = s.mac.Write(binary.BigEndian.AppendUint64(s.part[:0], uint64(len(text))))
}

func (s *state) sum() Sum { return Sum(s.mac.Sum(s.part[:0])) }
