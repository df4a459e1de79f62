package sim

// Deadlines of the ending, in us of simulated time.
const (
	drainMost = 240_000_000 // until everything is answered once faults have ended
	probeMost = 30_000_000  // until a command is committed with a minority gone for good (I14)
	lookEvery = 300_000
	extra     = 120 // commands made with a minority gone
)

// calmDown ends all faults and waits for everything to be answered.
func (f *federation) calmDown() {
	f.calm = true
	f.clients.resting = true
	f.log("calm", f.faulted)
	f.net.heal()
	if f.bank != nil {
		f.bank.calm()
	}
	for _, s := range f.servers {
		s.skew = int64(f.rng.IntN(300)) - 150
		s.silent, s.tear, s.busy, s.dead = false, tearNone, 0, false
		if s.failing {
			s.crash("disk is replaced")
		}
		f.loop.after(f.between(1, 1_000_000), s.restart)
	}
	f.await(f.loop.now+drainMost, f.drained, "I14: with all faults ended", f.loseMinority)
}

// await waits for something until a deadline.
func (f *federation) await(deadline uint64, is func() string, what string, then func()) {
	f.loop.after(lookEvery, func() {
		missing := is()
		switch {
		case missing == "":
			then()
		case f.loop.now > deadline:
			f.fail("%s: %s", what, missing)
		default:
			f.await(deadline, is, what, then)
		}
	})
}

// drained says what has not come to rest yet.
func (f *federation) drained() string {
	if n := len(f.clients.open); n > 0 {
		return "commands are not answered"
	}
	if f.bank != nil {
		if missing := f.bank.unrest(); missing != "" {
			return missing
		}
	}
	for _, s := range f.servers {
		switch {
		case s.dead:
		case !s.up || s.m == nil:
			return s.name + " is not back"
		case s.m.height != f.head()+1:
			return s.name + " is behind"
		case len(s.pool.waiting) > 0:
			return s.name + " has payloads left"
		case len(s.accusations()) > 0:
			return "I22: " + s.name + " has evidence that is in no block"
		}
	}
	return ""
}

// loseMinority takes some servers for good, liars first, as many as consensus bears.
func (f *federation) loseMinority() {
	sets := [2]*validators{f.set(f.head() + 1), f.set(f.head() + 2)}
	var order []*server
	for _, i := range f.rng.Perm(len(f.servers)) {
		s := f.servers[i]
		if s.liar != nil || s.mute(f.head()+1) {
			order = append([]*server{s}, order...)
		} else {
			order = append(order, s)
		}
	}
	power := [2]int64{sets[0].low(), sets[1].low()}
	gone := 0 // of all, as one that was demoted may yet get back its power by what it asked for before
	for _, s := range order {
		bears := f.rng.IntN(4) != 0 || s.liar != nil
		member := sets[1].index(s.keyIn(sets[1])) >= 0
		bears = bears && (!member || 3*(gone+1) < len(sets[1].all))
		for i, v := range sets {
			bears = bears && (power[i]+v.reliable(s))*3 < v.total
		}
		if !bears {
			continue
		}
		for i, v := range sets {
			power[i] += v.reliable(s)
		}
		if member {
			gone++
		}
		s.dead = true
		f.log("gone", s.index)
		if f.rng.IntN(2) == 0 {
			s.crash("for good")
			continue
		}
		for _, o := range f.servers {
			f.cut(s, o, 1)
			f.cut(o, s, 1)
		}
	}
	f.loop.after(1_000_000, f.tryProbe)
}

// tryProbe sends some more commands and one that must be committed soon.
func (f *federation) tryProbe() {
	var core []*server
	for _, s := range f.servers {
		if !s.dead {
			core = append(core, s)
		}
	}
	f.clients.only = core
	f.load.LeaveRoster()
	for range extra {
		f.clients.make()
	}
	// The probe comes last, as a command with a much greater nonce makes its own too old.
	probe := f.clients.send(f.load.Probe(f.clients.now()), core[f.rng.IntN(len(core))])
	f.await(f.loop.now+probeMost, func() string {
		if !probe.acked {
			return "the probe is not committed"
		}
		return ""
	}, "I14: with a minority gone", func() {
		f.await(f.loop.now+drainMost, f.drained, "I14: with a minority gone", f.finish)
	})
}

// finish looks at everything once more.
func (f *federation) finish() {
	if err := f.audit.Full(); err != nil {
		f.fail("%w", err)
		return
	}
	if err := f.audit.Reload(); err != nil {
		f.fail("%w", err)
		return
	}
	if f.bank != nil {
		if err := f.bank.finish(); err != nil {
			f.fail("%w", err)
			return
		}
	}
	f.clients.kept()
	for _, s := range f.servers {
		if s.up && !s.dead && f.err == nil {
			s.crash("at the end")
			s.boot()
			if f.err == nil && s.app.Position().Root != f.chain[len(f.chain)-1].root {
				f.fail("I10: %s comes back with another root", s.name)
			}
		}
	}
	switch {
	case f.err != nil:
	case f.clients.acked < LeastCommands || f.faulted < LeastFaults:
		f.fail("%d commands and %d faults are too few", f.clients.acked, f.faulted)
	}
	f.over = true
}
