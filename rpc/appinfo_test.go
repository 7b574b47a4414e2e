package rpc

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// askedInfo is an appInfo whose agent is a function, and counts.
func askedInfo(agent func(ctx context.Context) ([]byte, error)) (a *appInfo, asked *atomic.Int64) {
	asked = new(atomic.Int64)
	a = newAppInfo("")
	a.ask = func(ctx context.Context) ([]byte, error) {
		asked.Add(1)
		return agent(ctx)
	}
	return a, asked
}

func (a *appInfo) page(ctx context.Context) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.serve(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/app-info", nil))
	return w
}

func TestAppInfoIsAskedOnceInTenSeconds(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
	}{"answer": {nil, http.StatusOK}, "failure": {errors.New("no agent"), http.StatusBadGateway}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, asked := askedInfo(func(context.Context) ([]byte, error) { return []byte(`{}`), c.err })
				for range 100 {
					if w := a.page(t.Context()); w.Code != c.code {
						t.Fatalf("%d %s", w.Code, w.Body)
					}
				}
				<-time.After(infoFreshness - time.Nanosecond)
				a.page(t.Context())
				if n := asked.Load(); n != 1 {
					t.Errorf("the agent was asked %d times", n)
				}
				<-time.After(time.Nanosecond)
				a.page(t.Context())
				if n := asked.Load(); n != 2 {
					t.Errorf("after ten seconds: %d times", n)
				}
			})
		})
	}
}

// However many ask a slow agent, one request is with it, a few wait, and the others are
// told to come again. Who asked and hung up leaves the answer to those who wait.
func TestAppInfoOfASlowAgentHoldsFewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, asked := askedInfo(func(ctx context.Context) ([]byte, error) {
			<-time.After(5 * time.Second)
			return []byte(`{}`), ctx.Err()
		})
		first, hangUp := context.WithCancel(t.Context())
		codes := make(map[int]int)
		var mu sync.Mutex
		var all sync.WaitGroup
		get := func(ctx context.Context) {
			w := a.page(ctx)
			mu.Lock()
			defer mu.Unlock()
			codes[w.Code]++
		}
		all.Go(func() { get(first) })
		synctest.Wait()
		for range 1000 {
			all.Go(func() { get(t.Context()) })
		}
		synctest.Wait()
		hangUp()
		all.Wait()
		if codes[http.StatusOK] != maxInfoWaiters || codes[http.StatusServiceUnavailable] != 1001-maxInfoWaiters || asked.Load() != 1 {
			t.Errorf("answers %v, asked %d times", codes, asked.Load())
		}
	})
}
