def check(parity): pass
