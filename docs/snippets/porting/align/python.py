import membuf

assert membuf.align_up(1000, 512) == 1024
try:
    membuf.align_up(2**64 - 1, 512)
except (
    membuf.IntegerOverflowError
) as error:  # raised, never wrapped
    assert isinstance(error, ValueError)
