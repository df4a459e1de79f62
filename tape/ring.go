package tape

// ring keeps the newest of what is added to it. It grows as it is filled, up to limit.
type ring[T any] struct {
	limit int
	items []T
	first int // index of the oldest, once it is full
}

func (r *ring[T]) len() int { return len(r.items) }

// at is the item with a number, the oldest one being 0.
func (r *ring[T]) at(i int) *T {
	if i += r.first; i >= len(r.items) {
		i -= len(r.items)
	}
	return &r.items[i]
}

func (r *ring[T]) add(v T) {
	if len(r.items) < r.limit {
		r.items = append(r.items, v)
		return
	}
	r.items[r.first] = v
	if r.first++; r.first == len(r.items) {
		r.first = 0
	}
}

// part copies the items from one number up to another.
func (r *ring[T]) part(from, to int) []T {
	all := make([]T, 0, max(0, to-from))
	for i := from; i < to; i++ {
		all = append(all, *r.at(i))
	}
	return all
}
