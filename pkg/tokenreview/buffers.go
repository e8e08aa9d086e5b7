package tokenreview

import (
	"bytes"
	"sync"
)

const (
	// bufferSize is enough for most requests.
	bufferSize = 4 << 10
	// maxKeptBuffer is the size of the largest buffer that is used again.
	maxKeptBuffer = 16 << 10
)

// buffers are used by one request after another, for its body. Answers are not written from
// them: where a caller resets its stream, net/http may still read what a Write has returned
// from (HTTP/2), which would then be another's. It is safe for concurrent use.
type buffers struct{ pool sync.Pool }

// get returns an empty buffer.
func (b *buffers) get() *bytes.Buffer {
	if buffer, ok := b.pool.Get().(*bytes.Buffer); ok {
		return buffer
	}
	return bytes.NewBuffer(make([]byte, 0, bufferSize))
}

// put takes a buffer back, of which nobody may keep a part. What was written to it is
// wiped: a token does not wait in it for the next request.
func (b *buffers) put(buffer *bytes.Buffer) {
	if buffer.Cap() > maxKeptBuffer {
		return
	}
	clear(buffer.Bytes())
	buffer.Reset()
	b.pool.Put(buffer)
}
