// See local_response_norm.py. A thread takes all channels of one position: its neighbours take the positions beside it,
// and what a window reads again is still in the nearest cache. So each array crosses the memory bus once.

__device__ inline Real denominator(const Element *x, int C, int positions, int i, int c, int half, Real alpha, Real k)
{
    Real d = k;
    for (int j = c > half ? c - half : 0; j < C && j <= c + half; j++)
        d += alpha * x[j * positions + i] * x[j * positions + i];
    return d;
}

__device__ inline Real to_the_minus(Real beta, Real d)
{
    if (beta == Real(0.75)) {
        Real root = 1 / sqrt(d);
        return root * sqrt(root);
    }
    return pow(d, -beta);
}

KERNEL local_response_norm(Element *y, int C, int positions, const Element *x, int, int,
                           int half, Real alpha, Real beta, Real k)
{
    for (int i = thread(); i < positions; i += threads())
        for (int c = 0; c < C; c++)
            y[c * positions + i] = x[c * positions + i]
                                   * to_the_minus(beta, denominator(x, C, positions, i, c, half, alpha, k));
}

const int RING = 16;  // channels: a window of 2 · half + 1 ≤ RING remembers its shares, a wider one computes them again

// gx[c] = gy[c] / d[c]^β − 2αβ x[c] Σ share[j],  share[j] = gy[j] y[j] / d[j], over the channels j whose window holds c
KERNEL local_response_norm_backward(Element *gx, int C, int positions, const Element *gy, int, int, const Element *x, int, int,
                                    int half, Real alpha, Real beta, Real k, Real twice_alpha_beta)
{
    for (int i = thread(); i < positions; i += threads()) {
        auto share = [=](int j) {
            Real d = denominator(x, C, positions, i, j, half, alpha, k);
            return gy[j * positions + i] * to_the_minus(beta, d) * x[j * positions + i] / d;
        };
        Real remembered[RING];
        for (int j = 0; j < half && j < C; j++)
            remembered[j % RING] = share(j);
        for (int c = 0; c < C; c++) {
            if (c + half < C)
                remembered[(c + half) % RING] = share(c + half);
            Real d = denominator(x, C, positions, i, c, half, alpha, k);
            Real sum = 0;
            for (int j = c > half ? c - half : 0; j < C && j <= c + half; j++)
                sum += 2 * half < RING ? remembered[j % RING] : share(j);
            gx[c * positions + i] = gy[c * positions + i] * to_the_minus(beta, d)
                                    - twice_alpha_beta * x[c * positions + i] * sum;
        }
    }
}
