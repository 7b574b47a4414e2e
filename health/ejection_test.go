package health

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

// dialWorld has two instances, up since long ago, whose port 80 has answered.
func dialWorld(t *testing.T) *world {
	w := &world{t: t}
	w.Monitor = New(Options{Log: slog.New(slog.DiscardHandler)})
	w.Upsert(spec("app", "a", 1), spec("app", "b", 2))
	w.run()
	w.dial("a", true)
	w.dial("b", true)
	return w
}

func (w *world) dial(id vm.InstanceID, results ...bool) { w.dialPort(id, 80, results...) }

func (w *world) dialPort(id vm.InstanceID, port uint16, results ...bool) {
	w.t.Helper()
	for _, ok := range results {
		w.find(id).Live.Dialled(port, ok)
	}
	synctest.Wait()
}

func TestThreeFailuresInARowEject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dial("a", false, false, true, false, false)
		w.want("a", vm.Fresh, 100)
		w.dial("a", false)
		w.want("a", vm.Ejected, 0)
		w.want("b", vm.Fresh, 100)
	})
}

// A client chooses the port: one that the firewall drops, or that nobody has ever
// reached, must not put the instance aside, nor any number of them.
func TestPortThatNeverAnsweredEjectsNoInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		pass(time.Minute)
		for port := range uint16(65535) {
			if port != 79 {
				w.find("a").Live.Dialled(port+1, false)
			}
		}
		w.dialPort("a", 9, make([]bool, 100)...)
		w.want("a", vm.Fresh, 100)
		w.dial("a", false, false, false)
		w.want("a", vm.Ejected, 0)
	})
}

// A port may answer and then drop whoever asks often, as the firewall of SSH does.
func TestFailuresAtOnePortCountOnlyWhileNoOtherAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dialPort("a", 22, true)
		w.dial("a", true)
		w.dialPort("a", 22, make([]bool, 100)...)
		w.want("a", vm.Fresh, 100)
		pass((contradictedFor + 1) * time.Second)
		w.dialPort("a", 22, false, false, false)
		w.want("a", vm.Ejected, 0)
		w.dial("a", true) // the machine lives
		w.want("a", vm.Warming, 14)
		pass(time.Minute)
		w.want("a", vm.Fresh, 100)
	})
}

func TestFailuresOfTwoPortsAreNotARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dialPort("a", 443, true)
		pass(time.Minute)
		w.dial("a", false, false)
		w.dialPort("a", 443, false, false)
		w.want("a", vm.Fresh, 100)
		w.dialPort("a", 443, false)
		w.want("a", vm.Ejected, 0)
	})
}

func TestEjectedInstanceIsTriedAfterThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dial("a", false, false, false)
		pass(time.Second - 1)
		w.want("a", vm.Ejected, 0)
		pass(1)
		w.want("a", vm.Ejected, trialWeight)
		w.dial("a", true)
		w.want("a", vm.Warming, 14)
		pass(warmFor)
		w.want("a", vm.Fresh, 100)
	})
}

func TestPausesDoubleUpToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dial("a", false, false, false)
		for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			w.want("a", vm.Ejected, 0)
			pass(time.Duration(seconds)*time.Second - 1)
			w.want("a", vm.Ejected, 0)
			pass(1)
			w.want("a", vm.Ejected, trialWeight)
			w.dial("a", false)
		}
	})
}

func TestFailuresDuringThePauseDoNotLengthenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dial("a", false, false, false, false, false)
		pass(time.Second / 2)
		w.dial("a", false, false)
		pass(time.Second / 2)
		w.want("a", vm.Ejected, trialWeight)
	})
}

func TestPauseIsRememberedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dial("a", false, false, false)
		w.dial("a", true)
		w.dial("a", false, false, false) // back, and out again at once
		pass(2*time.Second - 1)
		w.want("a", vm.Ejected, 0)
		pass(1)
		w.want("a", vm.Ejected, trialWeight)
		w.dial("a", true)
		pass(maxPause)
		w.dial("a", false, false, false)
		pass(time.Second)
		w.want("a", vm.Ejected, trialWeight)
	})
}

func TestSuccessBringsBackFromThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dial("a", false, false, false)
		w.dial("a", true)
		w.want("a", vm.Warming, 14)
	})
}

func TestSuccessBetweenTwoLooksCounts(t *testing.T) {
	now := time.Now()
	var x ejection
	x.update(3, now)
	x.update(3, now.Add(firstPause))
	if !x.trial {
		t.Fatal("no trial after the pause")
	}
	if !x.update(1, now.Add(2*firstPause)) || x.out() {
		t.Error("a success and a failure left it out")
	}
}

func TestEjectedAppStaysReachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := dialWorld(t)
		w.dial("a", false, false, false)
		w.dial("b", false, false, false)
		app, _ := w.Snapshot().Lookup([]byte("app"))
		if app.Ready.Total != 0 || app.Spare == nil || len(app.Spare.Members) != 2 {
			t.Errorf("ready %v, spare %v, want both as spare", app.Ready, app.Spare)
		}
	})
}

func TestNewHandshakeAfterDownForgetsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, spec("app", "a", 1))
		w.shake(1, time.Now())
		w.run()
		w.dial("a", true, false, false, false)
		w.want("a", vm.Ejected, 0)
		pass(6 * time.Minute)
		w.want("a", vm.Down, 0)
		w.shake(1, time.Now())
		pass(defaultInterval)
		w.want("a", vm.Warming, 14)
	})
}

// More change at once than the queue holds: nobody is forgotten.
func TestManyFailuresAtOnceEjectAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.Monitor = New(Options{Log: slog.New(slog.DiscardHandler)})
		specs := manySpecs(3000)
		w.Upsert(specs...)
		for _, s := range specs {
			w.dial(s.ID, true, false, false, false)
		}
		w.run()
		for _, s := range specs {
			w.want(s.ID, vm.Ejected, 0)
		}
		for _, s := range specs {
			w.find(s.ID).Live.Dialled(80, true)
		}
		for _, s := range specs {
			w.want(s.ID, vm.Warming, 14)
		}
	})
}
