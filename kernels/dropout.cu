// See dropout.py.

typedef unsigned int Word;
typedef unsigned long long Long;

// row: one unit; a lane takes four images at a time, as many as one count gives numbers for
KERNEL dropout(Element *y, int units, int N, const Element *x, int, int, const Whole *counter, int,
               int first_unit, int first_image, Long threshold, Real scale)
{
    Long key = counter[0], step = counter[1];
    int before = first_image % 4, blocks = (before + N + 3) / 4;  // of the first block so many images are others'
    for (int unit = warp(); unit < units; unit += warps())
        for (int block = lane(); block < blocks; block += WARP) {
            Word c[4] = {Word(first_unit + unit), Word(first_image / 4 + block), Word(step), Word(step >> 32)};
            Word k[2] = {Word(key), Word(key >> 32)};
            for (int round = 0; round < 10; round++) {
                Long p0 = Long(0xD2511F53) * c[0], p1 = Long(0xCD9E8D57) * c[2];
                c[0] = Word(p1 >> 32) ^ c[1] ^ k[0];
                c[1] = Word(p1);
                c[2] = Word(p0 >> 32) ^ c[3] ^ k[1];
                c[3] = Word(p0);
                k[0] += 0x9E3779B9;
                k[1] += 0xBB67AE85;
            }
            for (int i = 0; i < 4; i++) {
                int n = 4 * block + i - before;
                if (0 <= n && n < N)
                    y[unit * N + n] = c[i] >= threshold ? x[unit * N + n] * scale : 0;
            }
        }
}
