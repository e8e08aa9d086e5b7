package issuers

// Issuer returns the issuer of that short name, nil if there is none.
func (s *Set) Issuer(name string) *Issuer {
	for _, issuer := range s.issuers {
		if issuer.Name() == name {
			return issuer
		}
	}
	return nil
}
