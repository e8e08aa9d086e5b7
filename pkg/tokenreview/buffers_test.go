package tokenreview

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func TestABufferIsWipedBeforeItIsUsedAgain(t *testing.T) {
	var b buffers
	buffer := b.get()
	buffer.WriteString("a token")
	held := buffer.Bytes()
	b.put(buffer)
	if string(held) != strings.Repeat("\x00", len(held)) {
		t.Errorf("%q is left", held)
	}
	if again := b.get(); again.Len() != 0 {
		t.Errorf("%q is given to the next", again)
	}
}

func TestABufferThatHasGrownLargeIsNotKept(t *testing.T) {
	var b buffers
	large := b.get()
	large.Grow(maxKeptBuffer + 1)
	b.put(large)
	for range 10 {
		if buffer := b.get(); buffer.Cap() > maxKeptBuffer {
			t.Errorf("a buffer of %d bytes is kept", buffer.Cap())
		}
	}
}

// In a buffer that was another's a request reads only its own.
func TestARequestReadsNothingOfTheOneBefore(t *testing.T) {
	e := &endpoint{Handler: &Handler{}, path: TokenReviewPath}
	for _, body := range []string{
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"a-long-token","audiences":["first","second"]}}`,
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"b"}}`,
	} {
		request := httptest.NewRequest(http.MethodPost, AuthenticatePath, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		var asked question
		status := e.receive(httptest.NewRecorder(), request, &asked)
		got := asked.review
		var want untrustedReview
		if err := json.Unmarshal([]byte(body), &want); err != nil || status != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v, %v: expected %+v, got %+v", err, status, want, got)
		}
	}
}

func TestWhichContentTypesAreJSON(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/json": true, "Application/JSON": true, "application/json; charset=utf-8": true, " application/json": true,
		"": false, "application/json; charset": false, "application/jsonx": false, "text/json": false,
	} {
		if got := isJSON(contentType); got != want {
			t.Errorf("%q: got %t", contentType, got)
		}
	}
}
