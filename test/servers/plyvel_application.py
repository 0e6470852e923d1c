"""A LevelDB application of another language and another LevelDB (plyvel on Debian's libleveldb 1.23).

write FOLDER KIND   writes numbered batches until it is killed, and tells each fiftieth on standard output
check FOLDER KIND   opens a copy and prints the number that it stands at, or how it differs from all batches up to there
"""
import sys
import time

import plyvel

KEYS = 300
SMALL = 64 * 1024
KINDS = {
    'bloom': {'bloom_filter_bits': 10, 'write_buffer_size': SMALL},
    'plain': {'compression': None, 'write_buffer_size': SMALL},
    'snappy': {'compression': 'snappy', 'write_buffer_size': SMALL},
    # An order of keys in Python needs Python's lock, which plyvel holds while LevelDB compacts: here it has nothing to compact.
    'reverse': {
        'write_buffer_size': 1 << 26,
        'comparator': lambda a, b: (a < b) - (a > b),
        'comparator_name': b'Reverse',
    },
}


def operations(n):
    """What batch n does: a function of n, so that each state can be computed again."""
    yield b'put', b'key-%04d' % (n * 7 % KEYS), (b'%d ' % n) * 40
    if n % 5 == 0:
        yield b'del', b'key-%04d' % (n * 11 % KEYS), b''
    if n % 50 == 0:
        yield b'put', b'big', (b'%d ' % n) * 20000
    yield b'put', b'position', b'%d' % n


def open_folder(folder, kind):
    return plyvel.DB(folder, create_if_missing=True, **KINDS[kind])


def write(folder, kind):
    database = open_folder(folder, kind)
    n = 0
    while True:
        n += 1
        with database.write_batch(transaction=True) as batch:
            for what, key, value in operations(n):
                batch.put(key, value) if what == b'put' else batch.delete(key)
        if n == 40:
            # What the log held goes into a table.
            database.close()
            database = open_folder(folder, kind)
        if n % 50 == 0:
            print(n, flush=True)
            # As fast as it goes would only make the model expensive to compute.
            time.sleep(0.05)


def check(folder, kind):
    database = plyvel.DB(folder, create_if_missing=False, **KINDS[kind])
    state = dict(database)
    n = int(state.get(b'position', b'0'))
    model = {}
    for each in range(1, n + 1):
        for what, key, value in operations(each):
            if what == b'put':
                model[key] = value
            else:
                model.pop(key, None)
    print(n if state == model else 'no prefix: %s' % sorted(set(state.items()) ^ set(model.items()))[:2])


{'write': write, 'check': check}[sys.argv[1]](*sys.argv[2:])
