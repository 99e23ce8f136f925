"""Every number by which the check measures, judges and shows, and why it is what it is."""

EPSILON, EPSILON32 = 2.0**-52, 2.0**-23  # what a number is rounded to, in double and in single precision

# -- steps, in units of the given one or of the root mean square of the input ------------------------------------------

LADDER = (1.0, 10.0, 0.1, 100.0, 0.01, 1e3, 1e-3)  # steps to try, of the given one: what is near to it first
CURVE = tuple(10.0**-n for n in range(1, 12))  # the error over the step: from where a curve bends to where digits end
SMALL = 0.1  # an element smaller than this share of the input is also moved by steps in units of its own size
AWAY = 0.01  # how far an input is moved for a look away from it: beyond the kinks it lies at, and still near
NEARER = (1.0, 0.25, 0.0625)  # of that: what is right at the given inputs alone is less wrong the nearer to them
MANY = 4096  # elements of an input tell whether its numbers are few
HUGE = 1e8  # a number like this stands for infinity, as −1e9 in the mask of attention
KEEPS = 1e-6  # what adds up to 1 but for this is meant to; float32 leaves 1e-7
TOGETHER = (0.5, 1.0)  # how far each of several elements is moved together: unlike, so no tie stays; none nearly 0
KEPT = 1 << 24  # numbers of ∂y/∂x to keep: 128 MB

# -- slopes along a line, and the rounding of what they are taken from -------------------------------------------------

TOP, RATIO, RUNGS = 2.0**-5, 4, 14  # the largest step, of the size of the input, by what each is smaller, and how many
ORDERS = 3  # of the curve are taken away: the next is below rounding, for steps from TOP on
NEAR = (2.0**-40, 2.0**-32)  # so far away a value is the same but for its slope and rounding: a curve adds 1e-19
STAIRS = (2.0**-27, 2.0**-22, 2.0**-17)  # and so far, where nearer by nothing changed: 1 − cos x goes in steps of 1e-16
LEFT = 1e3  # roundings of a value, or more, show that it is what is left of larger numbers; of 1, that these are near 1
TINY = 1e-30  # of an output is rounding in any case: of softmax's exp(−80) beside 1
BARE = 1e6  # a value of fewer roundings, of its own or of those near by, says nothing of what it is made of
NOTHING = 1e-10  # a value below is 0, if it is no more than noise
CERTAIN = 8.0  # standard deviations; few samples may have shown a third of the right one
SAFE = 5.0  # times what extrapolation says that it is off by: it may have been lucky
LARGEST = 1e-6  # of a gradient, or of the value that it changes: what rounds by more does not compute in double
DOUBLE = 1e-10  # of the same: backward rounds by no more than this, or has come through single precision
ROUGH = 1e-3  # of the same: what is seen to round by more is not checked
SINGLE = 1e-9  # of a value: noise beyond may be that of single precision
NO_DIGITS = 0.02  # of a value: noise beyond leaves nothing of it that could be checked, and is not half precision's
SAME_NOISE = 30.0  # times the noise that was measured: more is no noise, but a curve
FINE = 1e-7  # of a gradient: one difference that rounds by less is enough for a look at one input alone

# -- the same, and nothing ---------------------------------------------------------------------------------------------

LEAST = 1e-300  # below it numbers have fewer digits than others
SAME = 1e-9  # two calls may differ by this share, as sums in another order do; chance differs by far more
ADDS = 16 * EPSILON  # of the largest gy: by so much the gradients of two may differ from that of their sum
CALLS = 3  # calls to make again before anything is called wrong: chance may have looked the same once
FLOOR = 1e-6  # changes of the output this small beside it, for a change of x by its own size, count as none
CLOSE = 1e-4  # how near, in units of what is added up, two gradients must be to be called the same
SENDS = 1e-9  # an output that sends an element less than this share of what is added up sends it nothing
KNOWN = 1e-6  # a gradient below this share of what is added up is rounding, and says nothing of a factor
NO_FACTOR = 1e-8  # a factor this small is 0
TELLS = 10 * CLOSE  # a part of a sum that is to be told from the rest is at least this share of it

# -- kinks -------------------------------------------------------------------------------------------------------------

BEND = 0.01  # the slopes on both sides differ by this share of the larger: far more than a smooth curve in one step
BENT = 0.2  # of the slopes at a kink: by less they change where other elements are moved a little
ROUNDING = 16.0  # standard deviations, by the step: what two slopes differ by anyway
INSIDE = 0.01  # of the first step: the slopes at a kink are taken with; what is nearer to it was seen with others
SLACK = 1e-5  # a slope may leave those on both sides by this share: a curve bends within a step
FAR = 1e-2  # an error this large at a step without a kink is no kink's
BLOCK, DRAWN = 32, 96  # elements of a large input that are looked at: of a block that is wrong, and drawn by chance
PATIENCE = 20  # so many wrong elements must be wrong at every step before the others are taken to be
HURRY = 5  # one that is wrong by far counts as so many
DEAR = 40_000_000  # numbers that a function takes and gives while all elements are looked at: of more some come first

# -- single precision: the error along a line has its least at a large step, and grows with smaller ones ---------------

FITS = 0.03  # the least error is at most this, or the gradient is wrong at every step
LARGE = 0.99e-5  # the best step is at least this, 1e-5 being one of CURVE: double precision rounds at smaller ones
GROWTH, GROWS, STEPS = 2, 3, 4  # it becomes more than twice as large in at least 3 of the next 4 steps: no plateau
EVEN = 0.02  # three errors that differ by less than this share are the same: those of one slope
SOON = 10  # and is more than ten times the least two steps on: two digits of the step, less one for chance

# -- second derivatives ------------------------------------------------------------------------------------------------

QUARTERS = range(1, 14)  # steps of 4⁻ⁿ times the norm of x: from where a curve bends to where digits end, 1.5e-8
TAIL = 4  # so many of the smallest steps say what rounding does
SIGNAL = 0.01  # what is a larger share of a gradient than this is no rounding
ROUNDED = 4  # a result may be off by four times as much: by chance it was little where it was seen

# -- verdicts: from where on a pattern is more than chance, or too dear to look for ------------------------------------

AXES = 5  # of so many axes all orders are tried, 120
BORDER = 0.2  # at least this share of a border is wrong: some of it may be right by chance, as where gy is 0
BORDER_DEPTH = 3  # a border is less than one third of the axis deep
BORDER_SIZE = 4  # of an axis this short or shorter, too much is border
OVERLAP = 0.5  # more than half of the elements in several windows are wrong

# -- what is shown -----------------------------------------------------------------------------------------------------

WORST = 4  # elements
SIZES = 3  # sizes that explain a factor
BAR, BAR_FROM, BAR_TO = 3, 1e-9, 1e6  # signs for each power of ten of an error, and for which errors

# -- the search for a slip: explain/ -----------------------------------------------------------------------------------

CALLS_READ = 3000  # calls of NumPy that a record holds: a longer program is not searched
CALLS_FOLLOWED = 150_000  # calls made again in one search: 1 to 4 seconds
WAYS_FOLLOWED = 40_000  # edges along which gradients go back in one search: 1 or 2 seconds
WEIGHS = 2000  # numbers that a call takes and gives and that count as another call
NUDGE = 1e-6  # step of the slope of one call, of the size of what it takes
BY_CHANCE = 1000  # ways to choose as many of the elements: of fewer, all of them may lie on one side by chance
OTHERS = 15_000  # calls made again for the slopes of other functions in one search: 1 second
LONG = 20_000_000  # numbers that the slopes of all outputs along an axis are made of: of more, these are not tried
JACOBIAN = 8_000_000  # numbers that are computed for the slope of one call: where it takes more, it is not measured
ALIKE = 1e-6  # how near two gradients are that are the same, in units of what is added up
NO_FACTOR_SEEN = 100  # a part of a gradient smaller than this many times ALIKE is nothing
AS_LIKELY = 0.05  # explanations whose cost differs by less than this are both said
SAID = 2  # explanations at most
FEW = 8  # values of which functions, as exp, are tried, too
SMALL_FACTOR = 1e-3  # a factor below this is none, and one this near to 1 is 1
LETTERS = 60  # of a formula: of a longer one the inner parts are left out
STATISTICS = 12  # of a function, of which all pairs are tried
SOURCE = 90  # letters of a line of people's program that is said
