package certs

import (
	"fmt"
	"time"
)

const adviceNewAuthority = "put the right files back, or remove both and run with --renew to start a new CA, which everyone who trusts the old one needs to be given"

// plan collects what one Init will write and report, so that nothing is written
// before everything is known to be good.
type plan struct {
	opts    Options
	dir     directory
	now     time.Time
	files   []file
	results []Result
}

// authority loads the authority, or makes one in an empty folder. Its key may be
// missing where nothing is to be signed: keeping it elsewhere is good practice.
func (p *plan) authority() (*pair, error) {
	crtPath, keyPath := p.dir.path(Authority+".crt"), p.dir.path(Authority+".key")
	ca, err := p.dir.readPair(Authority)
	if err != nil {
		return nil, err
	}
	if ca == nil {
		ca, err = newAuthority(p.now, p.opts.CAValidity)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", crtPath, err)
		}
		p.add(Created, Authority, ca)
		return ca, nil
	}
	if ca.certPEM == nil {
		return nil, fmt.Errorf("%s: missing, but %s is there: put it back, or remove the key to start a new CA", crtPath, keyPath)
	}
	if err := ca.parse(crtPath, keyPath); err != nil {
		return nil, fmt.Errorf("%w: %s", err, adviceNewAuthority)
	}
	if err := ca.checkAuthority(p.now); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", crtPath, err, adviceNewAuthority)
	}
	p.add(Kept, Authority, ca)
	return ca, nil
}

// leaf loads the pair of a profile, or makes one where there is none or where
// pairs are to be renewed.
func (p *plan) leaf(ca *pair, want profile) (*pair, error) {
	crtPath := p.dir.path(want.name + ".crt")
	action := Created
	if p.opts.Renew {
		there, err := p.dir.exists(want.name+".crt", want.name+".key")
		if err != nil {
			return nil, err
		}
		if there {
			action = Replaced
		}
	} else {
		have, err := p.dir.readPair(want.name)
		if err != nil {
			return nil, err
		}
		if have != nil {
			if err := p.check(have, want, ca); err != nil {
				return nil, fmt.Errorf("%w: run again with --renew to replace the serving and client pairs", err)
			}
			p.add(Kept, want.name, have)
			return have, nil
		}
	}
	if ca.key == nil {
		return nil, fmt.Errorf("%s: missing, but needed to sign %s: put it back for this run", p.dir.path(Authority+".key"), crtPath)
	}
	made, err := ca.issue(want, p.now, p.opts.Validity)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", crtPath, err)
	}
	p.add(action, want.name, made)
	return made, nil
}

// check parses an existing pair and says which of its files does not serve the
// profile, and why.
func (p *plan) check(have *pair, want profile, ca *pair) error {
	crtPath, keyPath := p.dir.path(want.name+".crt"), p.dir.path(want.name+".key")
	if have.certPEM == nil {
		return fmt.Errorf("%s: missing, but %s is there", crtPath, keyPath)
	}
	if have.keyPEM == nil {
		return fmt.Errorf("%s: missing, but %s is there", keyPath, crtPath)
	}
	if err := have.parse(crtPath, keyPath); err != nil {
		return err
	}
	if err := have.check(want, ca.cert, p.now); err != nil {
		return fmt.Errorf("%s: %w", crtPath, err)
	}
	return nil
}

// add plans the two files of a pair, unless they are kept, and reports them. The
// key goes first: where there is a certificate, its key is there too.
func (p *plan) add(action Action, name string, pr *pair) {
	result := Result{Action: action, NotAfter: pr.cert.NotAfter}
	result.Files = append(result.Files, p.dir.path(name+".crt"))
	if pr.key != nil {
		result.Files = append(result.Files, p.dir.path(name+".key"))
	}
	p.results = append(p.results, result)
	if action != Kept {
		p.files = append(p.files,
			file{name: name + ".key", perm: permPrivate, content: pr.keyPEM},
			file{name: name + ".crt", perm: permPublic, content: pr.certPEM})
	}
}
