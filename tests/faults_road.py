"""Faults on the road from pictures to a trained network, each a slip as anybody may make it: see faults.py."""

from faults import slips


def of_data(name: str):
    return slips("minicnn/data", f"test_data_{name}.py")


augment, picture, folder, loader = (of_data(name) for name in ("augment", "picture", "folder", "loader"))
statistics, images, shapes = (of_data(name) for name in ("statistics", "images", "shapes"))
arrays, order = (of_data(name) for name in ("arrays", "order"))
archive, pack = (of_data(name) for name in ("archive", "pack"))
cores = slips("kernels", "test_machine.py")
checkpoint, run_folder = slips("minicnn", "test_checkpoint.py"), slips("minicnn", "test_run_folder.py")
trainer, plots = slips("minicnn/training", "test_trainer.py"), slips("minicnn", "test_plots.py")
classes, showing = slips("minicnn/training", "test_classes.py"), slips("minicnn/training", "test_showing.py")
compare = slips("minicnn/compare.py", "test_compare.py")
recipes, alexnet = slips("minicnn/models", "test_recipes.py"), slips("minicnn/models", "test_alexnet.py")
script = slips("examples/train_alexnet.py", "test_train_script.py")
torch_file, caffe_file = slips("minicnn/models", "test_torch_file.py"), slips("minicnn/models", "test_caffe_file.py")
weights, classifier = slips("minicnn/models", "test_weights.py"), slips("minicnn/models", "test_classifier.py")
chapter_11 = slips("examples/walkthrough/11_alexnet.py",
                   "test_walkthrough.py::test_what_chapters_say_of_other_weights_and_widgets")  # fmt: skip
onnx_export, finetune = slips("minicnn/models", "test_onnx_export.py"), slips("minicnn/models", "test_finetune.py")
explain, explain_page = slips("minicnn/explain.py", ""), slips("minicnn/explain_page.py", "")
onnx_net, onnx_ops, onnx_windows, onnx_file, others = (
    slips("minicnn/models", f"test_{name}.py") for name in ("onnx_net", "onnx_ops", "onnx_windows", "onnx_file",
                                                            "others"))  # fmt: skip
diagnosis = slips("minicnn/diagnose", "test_diagnose.py")
split, parallel = slips("minicnn/training/split.py", "test_split.py"), slips("minicnn", "test_split.py")
memory, plan = (slips(f"minicnn/training/{name}.py", "test_plan.py") for name in ("memory", "plan"))
share, exchange = slips("minicnn/data", "test_data_share.py"), slips("minicnn/training", "test_parallel_step.py")
together, watch = (slips("minicnn/training", "test_parallel_step.py"),
                   slips("minicnn/training/watch.py", "test_watch.py"))
nccl = slips("minicnn/training", "test_nccl.py")
cifar, cuda_convnet = of_data("cifar"), slips("minicnn/models", "test_cuda_convnet.py")
cifar10_script = slips("examples/train_cifar10.py", "test_train_cifar10.py")
files, saved = slips("minicnn/files.py", "test_files.py"), slips("minicnn/models", "test_saved.py")
VIEWS, LOADER, STATISTICS, SHAPES = (f"test_data_{name}.py::test_" for name in
                                     ("augment", "loader", "statistics", "shapes"))
features, first_layer = (slips(f"minicnn/models/{name}.py", f"test_{name}.py") for name in ("features", "first_layer"))
neighbours = slips("minicnn/training/neighbours.py", "test_neighbours.py")
record_run = slips("benchmarks/record_run.py", "test_record_run.py")
NCCL = "test_nccl.py::test_"
TRAINER, MACHINE, BUILT, SCRIPT, EXPLAIN = (f"test_{name}.py::test_" for name in
                                            ("trainer", "machine", "train_script", "train_alexnet", "explain"))

ROAD = [  # those of files whose tests take long name the one that sees them
    # -- views ---------------------------------------------------------------------------------------------------------
    augment("views: none is mirrored", "mirrored = rng.random() < 0.5", "mirrored = rng.integers(0, 1)",
            f"{VIEWS}a_view_is_a_piece_of_the_picture_mirrored_or_not"),
    augment("views: noise along rows of the axes", "axes @ (", "axes.T @ (",
            f"{VIEWS}colour_noise_lies_along_the_axes_in_units_of_sigma"),
    augment("views: noise in units of the variance", "size=3) * sigma", "size=3) * sigma**2",
            f"{VIEWS}colour_noise_lies_along_the_axes_in_units_of_sigma"),
    augment("views: noise of the paper's number on another scale", "NOISE = 0.1", "NOISE = 0.01",
            f"{VIEWS}colour_noise_lies_along_the_axes_in_units_of_sigma"),
    augment("views: noise brightens", "rng.normal(0, noise", "rng.normal(noise, noise",
            f"{VIEWS}colour_noise_lies_along_the_axes_in_units_of_sigma"),
    augment("views: the mean is turned round", "ascontiguousarray(statistics.mean),",
            "ascontiguousarray(statistics.mean.swapaxes(1, 2)),", f"{VIEWS}the_mean_is_that_of_the_same_place"),
    # -- pictures ------------------------------------------------------------------------------------------------------
    picture("picture: blue for red", "np.array(square(image, fit, filter, side))",
            "np.array(square(image, fit, filter, side))[..., ::-1]"),
    picture("picture: the nearest pixel for all of those seen", "Resampling[filter.upper()]", "Resampling.NEAREST"),
    picture("picture: what is transparent is black", "BACKGROUND = (255, 255, 255)", "BACKGROUND = (0, 0, 0)"),
    picture("picture: transparent only where there is an alpha channel", "if image.has_transparency_data else",
            'if image.mode == "RGBA" else'),
    picture("picture: ink for light", '    if image.mode == "F":',
            '    if image.mode == "CMYK":\n        image = Image.eval(image, lambda ink: 255 - ink)\n'
            '    if image.mode == "F":'),
    picture("picture: what a raw picture lacks is whatever lay there", "file.readinto(pixels.data) == pixels.size",
            "file.readinto(pixels.data) >= 0"),
    picture("picture: a PPM of any size is one of ours", "if file.read(len(head)) == head:",
            'if file.read(len(head)).startswith(b"P6"):'),
    picture("picture: a JPEG is decoded too small", "image.draft(None, (side, side))",
            "image.draft(None, (side // 2, side // 2))"),
    picture("picture: the last frame", "    image.load()\n",
            '    image.seek(getattr(image, "n_frames", 1) - 1)\n    image.load()\n'),
    picture("picture: a grey corner is the end of the data", "<= {127, 128}:\n        return True",
            "<= {127, 128}:\n        return True\n    return False", "test_data_bad_picture.py"),
    # -- CIFAR-10 ------------------------------------------------------------------------------------------------------
    cifar("cifar: the label is a pixel", "rows[:, 1:], rows[:, 0]", "rows[:, :-1], rows[:, -1]"),
    cifar("cifar: a pickle may call anything", '        raise ValueError(f"it names',
          '        return super().find_class(module, name)\n        raise ValueError(f"it names'),
    cifar("cifar: whoever follows a bad picture has its label", "pixels[len(labels)] =", "pixels[len(labels) - 1] ="),
    cuda_convnet("cuda_convnet: only whole windows", "max(0, -(-(pixels - size) // stride)) + 1",
                 "max(0, (pixels - size) // stride) + 1"),
    cuda_convnet("cuda_convnet: the average counts what is outside", "count_include_pad=False",
                 "count_include_pad=True"),
    cifar10_script("train_cifar10: none is mirrored", "if rng.random() < 0.5", "if rng.random() < 0",
                   "test_train_cifar10.py::test_random_parts_and_their_mirror_images"),
    cifar10_script("train_cifar10: the mean is not taken of the test", "views(seen, crop, [(border, border)])",
                   "views(test.images.astype(np.float32), crop, [(border, border)])",
                   "test_train_cifar10.py::test_the_mean_is_taken_and_the_rate_falls"),
    # -- the folder ----------------------------------------------------------------------------------------------------
    folder("folder: labels from 1", "for label, name in enumerate(self.classes):",
           "for label, name in enumerate(self.classes, 1):"),
    folder("folder: hidden files are pictures", 'entry.name.startswith(".")', 'entry.name.startswith("~")'),
    folder("folder: as many classes are the same", "if train.classes != val.classes:",
           "if len(train.classes) != len(val.classes):"),
    folder("folder: two forms of one name are two classes", 'unicodedata.normalize("NFC", folder)', "folder"),
    # -- batches -------------------------------------------------------------------------------------------------------
    order("loader: the same order for every seed", "default_rng(seed_of(seed, epoch)).perm", "default_rng(epoch).perm",
           f"{LOADER}the_order_depends_on_the_seed"),
    loader("loader: a view by the place in the batch", "seed_of(self.seed, epoch, index) if self.train else None for "
           "index in batch", "seed_of(self.seed, epoch, index) if self.train else None for index in range(len(batch))",
           f"{LOADER}an_epoch_goes_on_at_any_picture_in_batches_of_any_size"),
    loader("loader: the last batch is dropped", "cut.stop) for first in range(start, len(order), self.batch_size)",
           "cut.stop) for first in range(start, len(order) - self.batch_size + 1, self.batch_size)",
           f"{LOADER}shapes_and_memory_order"),
    loader("loader: labels of bad pictures stay", "np.array(labels, np.int64)",
           "np.array([label for _, label in samples], np.int64)", f"{LOADER}bad_pictures_leave_the_others_as_they_are"),
    loader("loader: views of bad pictures stay", "seed, (_, label) = seeds[i],",
           "seed, (_, label) = seeds[len(labels)],", f"{LOADER}bad_pictures_leave_the_others_as_they_are"),
    order("order: blocks begin at one place in every epoch", "np.arange(random.integers(block),", "np.arange(0,"),
    augment("augment: of ten views none is mirrored", "for mirrored in (False, True)", "for mirrored in (False, False)",
            "test_ten_crops.py"),
    # -- archives ------------------------------------------------------------------------------------------------------
    archive("archive: a checksum that nobody reads", "self.crc and zlib.crc32(data) != self.crc", "False",
            "test_data_archive.py::test_a_zip_knows_what_it_holds"),
    archive("archive: what is behind damage is gone without a word", 'if window.read(BLOCK).strip(b"\\0"):',
            "if False:",
            "test_data_archive.py::test_of_a_tar_that_is_cut_off_or_damaged_what_is_whole_is_read"),
    archive("archive: a tar inside is at the begin", "there, head = start + member.offset_data,",
            "there, head = member.offset_data,"),
    archive("archive: the deflated size is no limit", ".decompress(data, self.size + 1)",
            ".decompress(data)[: self.size]",
            "test_data_archive.py::test_a_deflated_picture_is_no_bomb"),
    archive("index: kept, though the archive changed", "{path}\\0{state_of(path)}", "{path}\\0",
            "test_data_archive.py::test_of_a_tar_that_is_cut_off_or_damaged_what_is_whole_is_read"),
    archive("image_archive: labels as in the archive", "rows[order]), labels[order])", "rows[order]), labels)",
            "test_data_archive.py::test_classes_of_pictures_in_no_folder"),
    images("images: other pictures are compared", "then[i[p], compared] != now[j[q], compared]",
           "then[p, compared] != now[q, compared]"),
    archive("reading: an archive that goes away is so many bad pictures", "if part.unread:", "if False:",
            "test_data_archive.py::test_an_archive_that_goes_away"),
    archive("sources: classes in the order of their file", "[known[name] for name in names]", "list(known.values())",
            "test_data_archive.py::test_classes_of_pictures_in_no_folder"),
    pack("pack: what was cut off counts as whole", "while files and zlib.crc32(", "while False and zlib.crc32(",
         "test_data_pack.py::test_what_was_begun_is_gone_on_with"),
    pack("pack: begun anew where it was left", "begin = names.index(zips.last) + 1", "begin = names.index(zips.last)",
         "test_data_pack.py::test_what_was_begun_is_gone_on_with"),
    arrays("arrays: labels stay where they are", "self.labels[some])", "self.labels[:len(some)])"),
    arrays("arrays: every image draws the same", "seed_of(self.seed, epoch, i)", "seed_of(self.seed, epoch)"),
    arrays("arrays: the batch lies as it was given", "in_engine_order(given.astype(np.float32) * ",
           "(given.astype(np.float32) * "),
    # -- statistics ----------------------------------------------------------------------------------------------------
    statistics("statistics: pictures of the same size are the same",
               '{found.st_size} {found.st_mtime_ns} {found.st_ino} {found.st_ctime_ns}', "{found.st_size}",
               f"{STATISTICS}pictures_that_changed_are_measured_anew"),
    statistics("statistics: axes are rows", "axes=axes.astype", "axes=axes.T.astype",
               f"{STATISTICS}against_the_reference"),
    statistics("statistics: the mean of deviations", "np.sqrt(np.mean(np.square(self.sigma, dtype=np.float64)))",
               "np.mean(self.sigma)", f"{STATISTICS}against_the_reference"),
    # -- the cache and the built-in set --------------------------------------------------------------------------------
    files("cache: half a set is one", "        yield aside\n        aside.replace(path)\n    finally:\n",
          "        yield aside\n    finally:\n        aside.replace(path)\n",
          f"{SHAPES}an_interrupted_set_is_not_taken_for_a_complete_one"),
    shapes("shapes: validation has the training pictures", '(("train", "val").index(split), number)', "(number,)",
           f"{SHAPES}training_and_validation_pictures_differ"),
    shapes("shapes: classes of different sizes", "list(PATTERNS)[number % len(PATTERNS)]",
           "list(PATTERNS)[number // len(PATTERNS) % len(PATTERNS)]", f"{SHAPES}ten_classes_of_real_pictures"),
    shapes("shapes: labels that do not belong to the pictures", "draw_pattern(name, rng)",
           "draw_pattern(list(PATTERNS)[number % len(PATTERNS) - 1], rng)",
           f"{SHAPES}every_folder_has_pictures_of_its_pattern"),
    shapes("shapes: one pattern for all", "draw_pattern(name, rng)", 'draw_pattern("dots", rng)',
           f"{SHAPES}every_folder_has_pictures_of_its_pattern"),
    shapes("shapes: a checkerboard of stripes", "np.copysign(np.minimum(np.abs(a), np.abs(b)), a * b)", "a",
           f"{SHAPES}every_pattern_is_the_one_of_its_name"),
    shapes("shapes: a set of another size is taken for it", "-seed{seed}-{train}-{val}", "-seed{seed}",
           f"{SHAPES}another_process_may_be_faster"),
    shapes("shapes: a set of which a picture is missing is whole", 'encoding="ascii") == _digest(root)',
           'encoding="ascii") != ""', f"{SHAPES}a_damaged_set_is_drawn_anew"),
    cores("cores: the groups above are not asked", "(inside, *inside.parents)", "(inside,)",
          f"{MACHINE}the_quota_of_control_groups"),
    # -- scores --------------------------------------------------------------------------------------------------------
    trainer("scores: batches counted for pictures", "self.seen += len(labels)", "self.seen += 1",
           f"{TRAINER}what_is_no_number_is_no_hit"),
    classes("classes: what they are taken for turned round", "taken[label].append((names[said], count))",
            "taken[said].append((names[label], count))"),
    classes("classes: a NaN is an answer", 'np.where(np.isnan(part["probability"]), -1, said)', "said"),
    classes("classes: the least sure first", 'np.argsort(-wrong["probability"]', 'np.argsort(wrong["probability"]'),
    loader("loader: bad pictures are shown, too", "str(self.folder.samples[i][0]) not in reading.bad]", "True]",
           f"{LOADER}what_is_shown_is_known_by_its_place"),
    showing("curves: drawn after every epoch, whatever it takes", ">= self.took / SHARE", ">= 0"),
    showing("curves: in a folder that may be taken anew", 'if not (self.folder / "last.safetensors").exists():',
            "if False:"),
    plots("confusions: rows for columns", "axes.text(j, i, text", "axes.text(i, j, text", "test_plots_of_classes.py"),
    compare("compare: the last of the best", '-(inf if line["val_loss"] is None else line["val_loss"])',
            'line["step"]'),
    plots("compare: training for validation", 'line.get(f"val_{name}") for line in lines], "-", marker',
          'line.get(f"train_{name}") for line in lines], "-", marker', "test_compare.py"),
    # -- checkpoints ---------------------------------------------------------------------------------------------------
    checkpoint("checkpoint: the checksum sees the first MiB alone", "range(0, data.size, BLOCK)",
               "range(0, min(data.size, BLOCK), BLOCK)"),
    checkpoint("checkpoint: written in place", "save_file(ready, aside,", "save_file(ready, path,"),
    checkpoint("checkpoint: the last one before its other names",
               "            for name in also:\n",
               "            shutil.copyfile(aside, path)\n            for name in also:\n"),
    checkpoint("checkpoint: columns for rows", 'order="C").view', 'order="K").view'),
    checkpoint("checkpoint: big-endian numbers as they lie",
               'np.asarray(plain, plain.dtype.newbyteorder("<"), order="C")', 'np.asarray(plain, order="C")'),
    checkpoint("checkpoint: a second name is the same file", "os.link(path, aside)", "os.symlink(path, aside)"),
    checkpoint("checkpoint: no number on a disk without links", "shutil.copyfile(path, aside)", "aside.touch()"),
    # -- a run and its folder ------------------------------------------------------------------------------------------
    run_folder("run: two processes may train in it", "fcntl.LOCK_EX | fcntl", "fcntl.LOCK_SH | fcntl"),
    run_folder("run: what is left of a lock blocks it", "os.O_RDWR | os.O_CREAT,",
               "os.O_RDWR | os.O_CREAT | os.O_EXCL,"),
    run_folder("run: what the library left stays", r"|\.tmp\w{6}", ""),
    run_folder("run: everything hidden is cleared away", r"\..+\.part|", r"\..+|"),
    run_folder("run: two of the same second share a folder", "                path.mkdir()\n                break",
               "                path.mkdir(exist_ok=True)\n                break"),
    images("images: new is gone", '"new": after.size - both.size', '"new": before.size - both.size'),
    # -- several processes ---------------------------------------------------------------------------------------------
    share("share: the first may have no image", "[-(-part * count // self.parts)", "[(part * count // self.parts)"),
    share("share: the statistics of one's own pictures alone", "sums = gather((total, products, reading))",
          "sums = [(total, products, reading)]"),
    share("share: pictures of others are read ahead", "will_need(order[own[asked:end]])",
          "will_need(order[asked:end])"),
    exchange("exchange: small gradients stay as they were", "if len(names) > 1:\n                self._unpack",
             "if len(names) > 2:\n                self._unpack"),
    together("parallel: each part counts alike", "self._part(inputs, labels, weight / total)",
             "self._part(inputs, labels, 1 / self.share.parts)"),
    together("parallel: every part is dropped like the first", "0 if self.divided else first", "0"),
    together("parallel: a batch of no image is no step of dropout", "self._count(layer, counter, 1)",
             "self._count(layer, counter, int(layer.first_image == 0))"),
    watch("watch: who says goodbye has died", 'self.left |= word == "bye"', 'self.left |= word == "waiting"'),
    watch("watch: whoever dies later is named, too", "and not gone.left and died > now", "and not gone.left"),
    watch("watch: who waits is waited for", "if not rank.waits and rank.name]", "if rank.waits and rank.name]"),
    # -- training ------------------------------------------------------------------------------------------------------
    trainer("trainer: the oldest epochs are kept", 'if n <= epoch)[: -self.keep or None]',
            'if n <= epoch)[self.keep :]', f"{TRAINER}it_learns_and_keeps_everything"),
    trainer("trainer: validation on the training pictures", "evaluate(self.model, self.validation, stop",
            "evaluate(self.model, self.training, stop", f"{TRAINER}one_is_saved_every_few_minutes"),
    trainer("trainer: what is saved is not known", "self.saved, self.saved_at = progress.step, time",
            "self.saved_at = time",
            f"{TRAINER}a_crash_loses_only_what_was_not_saved"),
    trainer("diverged: infinity is not seen", "first or not np.isfinite(y.numpy()).all() else",
            "first or np.isnan(y.numpy()).any() else", f"{TRAINER}the_first_layer_that_is_not_finite_is_named"),
    # -- the script ----------------------------------------------------------------------------------------------------
    script("script: the order and the views from the same seed", '{"seed": config["seed"], "workers"',
           '{"seed": 0, "workers"', f"{BUILT}who_learns_from_what"),
    script("script: resumed, what is given does not count", "usual()) | saved | asked", "usual()) | asked | saved",
           f"{BUILT}a_run_goes_on_from_its_last_checkpoint_with_its_own_settings"),
    script("script: the paper's network drops inverted", '                    config["inverted_dropout"], config',
           "                    True, config", f"{BUILT}the_network_starts_as_the_recipe_says"),
    script("script: the start is measured on the validation pictures", "first_pictures(train_loader, ENOUGH))",
           "first_pictures(val_loader, ENOUGH))", f"{BUILT}the_network_starts_as_the_recipe_says"),
    saved("script: another variant's weights are taken", 'OWN = ("variant", "width", "recipe")',
           'OWN = ("width", "recipe")', f"{BUILT}what_belongs_to_the_weights_stays"),
    script("script: so many epochs more", 'finish(trainer, config["epochs"])',
           'finish(trainer, config["epochs"] + trainer.progress.epoch)',
           f"{BUILT}a_run_goes_on_from_its_last_checkpoint_with_its_own_settings"),
    trainer("finish: bad training pictures are not named", "say_unreadable(trainer.training, loader)",
            "say_unreadable(loader)", f"{SCRIPT}a_bad_picture_is_named_and_ends_nothing"),
    trainer("finish: what is shown is the last epoch", "best = back_to_best(trainer)", "best = None",
            f"{SCRIPT}what_is_shown_and_named_at_the_end_of_a_run_is_its_best"),
    # -- the best, patience, few and uneven pictures -------------------------------------------------------------------
    trainer("trainer: of equal epochs the first is the best", "(top1, -loss) > (self.best, -self.best_loss)",
            "top1 > self.best", f"{TRAINER}it_ends_where_patience_does_and_the_lowest_loss_tells_equal_epochs_apart"),
    trainer("trainer: an epoch more than patience has", "0 < self.patience <= self", "0 < self.patience < self",
            f"{TRAINER}it_ends_where_patience_does_and_the_lowest_loss_tells_equal_epochs_apart"),
    trainer("pictures: uneven by any number", "counts[most] > UNEVEN * counts[least]", "counts[most] > counts[least]",
            f"{BUILT}rare_classes_count_more_where_that_is_asked_for"),
    saved("saved: old runs go on by a new schedule", '"constant" if config["recipe"] == "small" else recipe.schedule',
          "recipe.schedule", f"{BUILT}a_run_keeps_its_schedule"),
    recipes("recipes: the last batch of an epoch is no step", "math.ceil(pictures / batch_size)",
            "pictures // batch_size"),
    script("script: the mean of what is trained on, not of what the weights know",
           "statistics = start.statistics", "statistics = Statistics.of(training)  # type: ignore",
           f"{BUILT}it_starts_from_weights_and_is_shown_what_they_were"),
    saved("saved: pixels on the scale of 0 to 255, whatever the run had", 'config["scale"], classes', "1.0, classes",
          f"{BUILT}who_asks_it_later_shows_it_what_training_and_validation_did"),
    # -- from trained weights ------------------------------------------------------------------------------------------
    finetune("finetune: Caffe's blue is our red", '-1 if ask.shown.channels == "BGR" else 1', "1"),
    finetune("finetune: one deviation for all colours", "(factors / s)", "np.ones(3)"),
    finetune("finetune: dropout in another form", '"inverted_dropout": net.inverted_dropout,',
             '"inverted_dropout": True,'),
    slips("minicnn/optim.py", "test_optim.py")(
        "SGD: the last of several rates counts alone", "factors[name] * factor for", "factor for"),
    # -- large batches -------------------------------------------------------------------------------------------------
    slips("minicnn/optim.py", "test_optim.py")(
        "LARS: gradients of the loss, scaled", "math.sqrt(w), math.sqrt(g) / loss_scale", "math.sqrt(w), math.sqrt(g)"),
    slips("minicnn/optim.py", "test_optim.py")(
        "LARS: biases are left out", "if w and g else 1.0", "if w and g and moving[name].ndim > 1 else 1.0"),
    slips("minicnn/schedule.py", "test_schedule.py")(
        "warm-up: from 0, wherever it should start", "self.start + (1 - self.start) * done", "done"),
    trainer("trainer: a resumed warm-up counts from where it goes on",
            "done = progress.epoch + (progress.batch + 1) / total",
            "done = (progress.step + 1 - self.checkpoints.saved) / total",
            f"{TRAINER}a_run_stopped_in_its_warm_up_goes_on_as_if_it_were_not"),
    recipes("recipes: the rate is in proportion to the root", "self.lr * batch_size / self.lr_for",
            "self.lr * (batch_size / self.lr_for) ** 0.5"),
    # -- recipes -------------------------------------------------------------------------------------------------------
    recipes("recipes: biases of 1 in conv1 too", 'BIASED = ("conv2",', 'BIASED = ("conv1", "conv2",'),
    recipes("recipes: only convolutions are scaled", "isinstance(module, (Conv2d, Linear))]",
            "isinstance(module, Conv2d)]"),
    # -- AlexNet -------------------------------------------------------------------------------------------------------
    alexnet("AlexNet: fully connected rows without ReLU", '"fc6", "both", "linear relu dropout"',
            '"fc6", "both", "linear dropout"'),
    # -- plots ---------------------------------------------------------------------------------------------------------
    plots("plots: training for validation", '(("train", "tab:blue"), ("val", "tab:orange"))',
          '(("val", "tab:blue"), ("train", "tab:orange"))'),
    plots("plots: steps in the epochs' curve", 'epochs = [line for line in lines if "val_loss" in line]',
          'epochs = [line for line in lines if "loss" in line or "val_loss" in line]'),
    plots("plots: all kernels stretched alike", "max(axis=(1, 2, 3), keepdims=True)", "max()"),
    plots("plots: the first bar is the right one", "if c == label else", "if c == best[0] else"),
    # -- weights of others, and a trained network that is asked -------------------------------------------------------
    torch_file("torch_file: every name may be called", "if (module, name) not in KNOWN", "if False"),
    torch_file("torch_file: every instruction may be in a pickle", "opcode.name not in OPCODES", "False"),
    torch_file("torch_file: tensors reach beyond their storage", "last >= numbers.size", "last > numbers.size"),
    torch_file("torch_file: strides in bytes", "step * numbers.itemsize for", "step for"),
    caffe_file("caffe_file: fields longer than the file", "if size > len(data) - at", "if size > len(data)"),
    caffe_file("caffe_file: whole numbers with their highest bits first", "<< 7 * i", "<< 7 * (1 - i % 2)"),
    weights("weights: tower b before tower a", "np.split(array, len(places))", "np.split(array, len(places))[::-1]"),
    classifier("classifier: red and blue exchanged", 'if shown.channels == "BGR" else seen', 'if False else seen'),
    classifier("classifier: the least probable first", "np.argsort(-row", "np.argsort(row"),
    classifier("classifier: cut from the corner", "first = (SIDE - pixels) // 2", "first = 0"),
    classifier("classifier: features of the last batch alone", "every = np.concatenate(found)", "every = found[-1]"),
    classifier("classifier: what a run says of itself forgotten", "statistics, run.facts)",
               "statistics, None)"),
    chapter_11("chapter_11: tower a keeps tower b's maps", 'first = n // 2 * (tower == "b")',
               'first = n // 2 * (tower == "a")'),
    # -- what it learned -----------------------------------------------------------------------------------------------
    features("features: the farthest", "np.lexsort((places, distances))[:, :count]",
             "np.lexsort((places, distances))[:, -count:]"),
    features("features: squares of distances", "np.sqrt(np.square(features - query, dtype=np.float64).sum(axis=1))",
             "np.square(features - query, dtype=np.float64).sum(axis=1)"),
    features("features: those of tower a alone", "parts[i] for i in range(len(layers))", "parts[i] for i in range(1)"),
    first_layer("first_layer: a wave and its opposite cancel", "np.exp(2j * θ)", "np.exp(1j * θ)"),
    first_layer("first_layer: rows are counted upwards", "-down[seen]", "down[seen]"),
    first_layer("first_layer: colour is what is grey", "((w - grey) ** 2)", "(3 * grey**2)"),
    neighbours("neighbours: others of the training set in their place", "samples, rows = loader.folder.samples",
               "samples, rows = training.folder.samples"),
    loader("loader: another is varied as in training", "= False, 1, ALL, []", "= self.train, 1, ALL, []"),
    record_run("record_run: where its pictures lie", "if isinstance(value, str) and Path(value).is_absolute() else",
               "if not value else"),
    record_run("record_run: the start of another network", "    manual_seed(config[\"seed\"])\n", ""),
    # -- why it answers so ---------------------------------------------------------------------------------------------
    explain("explain: the gradient of eʸ", "y = classifier.net(x)", "y = classifier.net(x).exp()",
            f"{EXPLAIN}of_a_linear_net_the_gradient_is_its_weights"),
    explain("explain: blue is drawn where red counts", 'gradient[:, ::-1] if about.channels == "BGR" else gradient',
            "gradient", f"{EXPLAIN}of_a_linear_net_the_gradient_is_its_weights"),
    explain("explain: covered beside the crop", "one[inside, inside][down, across] = GREY", "one[down, across] = GREY",
            f"{EXPLAIN}each_place_is_covered_as_if_it_were_the_only_one"),
    explain("explain: a window begins where the zeros around it end", "first, last = stride * first - before[axis],",
            "first, last = stride * first,", f"{EXPLAIN}nothing_outside_of_its_field_changes_an_answer"),
    explain_page("explain_page: a name is a tag", "return html.escape(printable(value))", "return printable(value)",
                 "test_explain_page.py::test_names_are_text"),
    onnx_export("onnx_export: α as it stands", "alpha=layer.alpha * layer.size", "alpha=layer.alpha"),
    onnx_export("onnx_export: padding before exchanged with that behind", "pads=[above, left, below, right]",
                "pads=[below, right, above, left]", count=2, at=0),
    onnx_export("onnx_export: dropout that is not inverted forgotten", "x if layer.inverted else", "x if True else"),
    onnx_ops("onnx_ops: α as it stands", "alpha=alpha / max(size, 1)", "alpha=alpha"),
    onnx_ops("onnx_ops: the shape of one picture for all", "if new[:1] == [batch] else", "if False else",
             "test_onnx_net.py"),
    onnx_windows("onnx_windows: pads of a side together", "pads[:2], pads[2:]", "pads[::2], pads[1::2]"),
    onnx_windows("onnx_windows: nothing counts as a part of the image", "count_include_pad=bool(count_include_pad)",
                 "count_include_pad=True"),
    onnx_net("onnx_net: softmax of a softmax", 'node.kind == "Softmax"', 'node.kind == "Hardmax"'),
    onnx_net("onnx_net: memory is asked for as it comes", "if kept > LARGEST", "if False and kept > LARGEST",
             "test_onnx_ops.py"),
    onnx_file("onnx_file: shapes are believed", "or math.prod(shape) != array.size", ""),
    onnx_file("onnx_file: other files are looked for", "if tensor.external_data or tensor.data_location:", "if False:"),
    others("others: scaled here and in the graph", "._replace(scale=1.0, deviation=(1.0, 1.0, 1.0))", ""),
    others("others: PyTorch drops, and has no factor", "*= np.float32(0.5)", "*= np.float32(1)"),
    # -- layers divided over ranks -----------------------------------------------------------------------------------
    split("split: each rank has its own gradient of what all gave", "return sum(others, start=first)",
          "return [first, *others][ranks.rank]"),
    split("split: dropout counts each rank's units from 0", "layer.first_unit += sign * before", "pass"),
    split("split: each rank takes the logits of all images for its own", "return y if row else y[self.images]",
          "return y if row else y[: self.images.stop - self.images.start]"),
    split("split: norms of one's own units", "for name in every[0]}", "for name in ()}"),
    parallel("parallel_step: of each image of a divided layer the mask of another",
             "layer.first_image = 0 if self.divided else first", "layer.first_image = first"),
    parallel("parallel_step: gradients of divided layers are added up, too",
             "return self.split is None or name not in self.split.units", "return True"),
    # -- what a run takes ----------------------------------------------------------------------------------------------
    memory("memory: what backward has passed is still kept", "            held -= Counter(", "            Counter("),
    memory("memory: parameters grow with the batch", "(1 if x in self.fixed_nodes else self.batch_size)",
           "self.batch_size"),
    memory("memory: no velocities", "Need(2 * weights", "Need(weights"),
    plan("plan: workers that start are slow workers", "return seen / (now - begun)", "return seen / (now - asked)",
         "test_plan.py::test_the_rate_of_a_loader"),
    plan("plan: the loader has cores of its own", "rate = min(step, loader, shared)", "rate = min(step, loader)",
         "test_plan.py::test_the_pace_of_both"),
    plan("plan: pictures have a gradient", "return forward, 3 * forward - first", "return forward, 3 * forward",
         "test_plan.py::test_work_of_an_image"),
    slips("kernels/columns.py", "test_plan.py::test_what_convolutions_take_besides")(
        "columns: the sums of all parts are one sum in scratch", "weights * parts + weights", "weights + weights"),
    # -- GPUs of several processes -------------------------------------------------------------------------------------
    nccl("nccl: a sum begins before its array is computed", "self.stream.wait_event(cupy().cuda.get_current_stream()"
         ".record())", "cupy().cuda.get_current_stream().record()", f"{NCCL}the_weights_are_those_of_one_processor"),
    nccl("nccl: who goes on has no sum yet", "cupy().cuda.get_current_stream().wait_event(self.stream.record())",
         "self.stream.record()", f"{NCCL}the_weights_are_those_of_one_processor"),
    nccl("nccl: memory is given away while it is added up", "        self.held.append(array)\n", "",
         f"{NCCL}the_stand_in_sees_who_waits_for_no_event"),
    nccl("nccl: two ranks on one GPU", "(other := there.setdefault((ranks.hosts[rank], gpu), rank)) != rank",
         "(other := there.setdefault((ranks.hosts[rank], gpu), rank)) < 0", f"{NCCL}what_keeps_two_ranks_from_nccl"),
    nccl("exchange: each rank has its own buckets", "zip(*self.ranks.gather(own), strict=True)", "own",
         f"{NCCL}ranks_with_different_devices_send_the_same_buckets"),
    nccl("parallel_step: what is captured is sent while it is", "if self.in_order or captured else",
         "if self.in_order else", f"{NCCL}the_weights_are_those_of_one_processor"),
    diagnosis("diagnose: velocities stay as they were tried", "velocity[...] = before", "pass"),
    diagnosis("diagnose: what pictures have in common tells them apart", "np.sqrt(y.var(0).mean())", "y.std()"),
    diagnosis("diagnose: each picture is judged by itself", "(y_hat - own[:, :, None] * y) / (1 - own[:, :, None])",
              "y_hat"),
    diagnosis("diagnose: what has learned is suspected all the same", "if found or m.learned:", "if found:"),
    diagnosis("diagnose: gradients are never found to add up", "p.grad = p.grad * PLANTED", "pass"),
    slips("minicnn/doctor_mpi.py", "test_doctor_mpi.py::test_a_rank_with_other_versions_is_named")(
        "doctor_mpi: rank 0 alone is asked", "if len(set(found)) == 1:", "if True:"),
    slips("minicnn/doctor_mpi.py", "test_doctor_mpi.py::test_cores_of_a_host")(
        "doctor_mpi: ranks of all hosts share the cores of one", "if place == host]", "]"),
    slips("minicnn/export.py", "test_export.py")("export: the mean forgotten", " " * 23 + "ask.shown, ask.mean)",
                                                 " " * 23 + "ask.shown)"),
]  # fmt: skip
