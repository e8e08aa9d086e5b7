package tokenreview

// Remembered is how many decisions are.
func (r *Reviewer) Remembered() int {
	decisions := r.inForce.Load().decisions
	return decisions.allowed.len() + decisions.refused.len()
}

// Added is of how many decisions about accepted tokens the order is remembered.
func (r *Reviewer) Added() int { return len(r.inForce.Load().decisions.allowed.added) }

// Repeats is how many requests are remembered.
func (r *Reviewer) Repeats() int { return r.inForce.Load().decisions.repeats.Len() }
