// See sgd.py. A thread takes single elements: each is read once and written once.

KERNEL sgd(Element *w, int size, Element *v, int, const Element *g, int, Real rate, Real momentum, Real decay)
{
    for (int i = thread(); i < size; i += threads()) {
        Real velocity = momentum * v[i] - decay * rate * w[i] - rate * g[i];
        v[i] = velocity;
        w[i] = w[i] + velocity;
    }
}
