package escrow

// queue is all locked escrows as a binary heap: the one that is due first is in
// front. The order of (due time, id) is total, so what comes first does not
// depend on the queue's history.
type queue []*record

func (r *record) before(other *record) bool {
	if r.Due() != other.Due() {
		return r.Due() < other.Due()
	}
	return r.ID < other.ID
}

func (q *queue) push(r *record) {
	r.place = len(*q)
	*q = append(*q, r)
	q.settle(r.place)
}

func (q *queue) remove(r *record) {
	i, last := r.place, len(*q)-1
	q.swap(i, last)
	(*q)[last] = nil
	*q = (*q)[:last]
	if i < last {
		q.settle(i)
	}
}

// settle moves the escrow at i up or down to where it belongs.
func (q *queue) settle(i int) {
	h := *q
	for i > 0 && h[i].before(h[(i-1)/2]) {
		q.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		q.swap(i, least)
		i = least
	}
}

func (q *queue) swap(i, j int) {
	h := *q
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
