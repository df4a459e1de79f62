package replica

import (
	"context"
	"crypto/rand"
	"runtime"
	"sync"
	"sync/atomic"

	"souk/exchange"
	"souk/identity"
)

const (
	// chunkMost is the most signatures that are verified in one go: twice as many as
	// 512 take 8 % less time each, and keep a core from consensus for about 12 ms.
	chunkMost = 1024
	// chunkLeast is the least number that a batch is cut into to use idle cores.
	chunkLeast = 128
	// defaultKeys is how many public keys each worker keeps ready.
	defaultKeys = 16_384
)

// Pool verifies signatures on all cores, for all replicas of a process: each
// worker keeps decompressed the public keys that it has met.
type Pool struct {
	urgent chan *chunk // of proposals that consensus waits for
	normal chan *chunk
	stop   chan struct{}
	closed sync.Once
	wait   sync.WaitGroup

	workers int
	inHand  atomic.Int64 // chunks handed in and not verified

	// alone verifies when there are no workers.
	mu    sync.Mutex
	alone *verifier
}

// chunk is a part of a batch for one worker.
type chunk struct {
	vs       exchange.ID
	commands []exchange.Command
	verdicts []bool // as long as commands, false
	done     *sync.WaitGroup
}

// NewPool starts workers goroutines (0: one per core; negative: none, the caller
// of a verification does it himself), each of which keeps up to keys public keys
// ready (about 300 bytes each; 0: 16,384).
func NewPool(workers, keys int) *Pool {
	if keys <= 0 {
		keys = defaultKeys
	}
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{workers: max(workers, 0)}
	if p.workers == 0 {
		p.alone = newVerifier(keys)
		return p
	}
	p.urgent, p.normal, p.stop = make(chan *chunk), make(chan *chunk), make(chan struct{})
	for range p.workers {
		p.wait.Go(func() { p.work(newVerifier(keys)) })
	}
	return p
}

// NewPoolBy makes a pool without workers whose verdicts come from verify, which is
// called like identity.Verifier.Verify by one goroutine at a time. Simulations, whose
// servers all verify the same signatures, remember verdicts with it.
func NewPoolBy(verify func(dst []bool, batch []identity.Signed) []bool) *Pool {
	return &Pool{alone: &verifier{judge: verify}}
}

// Close stops the workers and waits for them. Replicas that use the pool must be
// closed before.
func (p *Pool) Close() {
	if p.workers == 0 {
		return
	}
	p.closed.Do(func() { close(p.stop) })
	p.wait.Wait()
}

func (p *Pool) work(v *verifier) {
	for {
		var c *chunk
		select {
		case c = <-p.urgent:
		default:
			select {
			case c = <-p.urgent:
			case c = <-p.normal:
			case <-p.stop:
				return
			}
		}
		v.verify(c)
		p.inHand.Add(-1)
		c.done.Done()
		runtime.Gosched() // consensus first
	}
}

// verify answers for each command whether its signature is good. The error is
// that of ctx, or ErrClosed.
func (p *Pool) verify(ctx context.Context, vs exchange.ID, commands []exchange.Command, urgent bool) ([]bool, error) {
	verdicts := make([]bool, len(commands))
	if p.workers == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.alone.verify(&chunk{vs: vs, commands: commands, verdicts: verdicts})
		return verdicts, ctx.Err()
	}
	queue := p.normal
	if urgent {
		queue = p.urgent
	}
	var done sync.WaitGroup
	defer done.Wait() // workers must not write to verdicts that the caller has let go
	for parts := p.parts(len(commands)); len(commands) > 0; parts-- {
		n := (len(commands) + parts - 1) / parts
		c := &chunk{vs: vs, commands: commands[:n], verdicts: verdicts[len(verdicts)-len(commands):][:n], done: &done}
		commands = commands[n:]
		done.Add(1)
		p.inHand.Add(1)
		select {
		case queue <- c:
			continue
		case <-ctx.Done():
		case <-p.stop:
		}
		p.inHand.Add(-1)
		done.Done()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return nil, ErrClosed
	}
	done.Wait()
	return verdicts, nil
}

// parts is into how many chunks n commands are cut: one for each worker that has
// nothing to do, and as few as possible if all have.
func (p *Pool) parts(n int) int {
	least := (n + chunkMost - 1) / chunkMost
	free := p.workers - int(p.inHand.Load())
	return max(least, min(free, (n+chunkLeast-1)/chunkLeast))
}

// verifier is what one worker verifies with.
type verifier struct {
	judge    func(dst []bool, batch []identity.Signed) []bool
	signed   []identity.Signed
	bytes    []byte // sign bytes, one after the other
	verdicts []bool
}

func newVerifier(keys int) *verifier {
	return &verifier{judge: identity.NewVerifier(rand.Reader, keys).Verify}
}

// verify sets the chunk's verdicts.
func (v *verifier) verify(c *chunk) {
	v.signed, v.bytes = v.signed[:0], v.bytes[:0]
	for i := range c.commands {
		cmd := &c.commands[i]
		// If bytes is moved to grow, what was appended before stays valid where it was.
		start := len(v.bytes)
		v.bytes = cmd.AppendSignBytes(v.bytes, c.vs)
		v.signed = append(v.signed, identity.Signed{Key: cmd.Key, Tagged: v.bytes[start:len(v.bytes):len(v.bytes)], Signature: cmd.Signature})
	}
	v.verdicts = v.judge(v.verdicts[:0], v.signed)
	copy(c.verdicts, v.verdicts)
}
