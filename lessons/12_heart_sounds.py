"""Heart sounds: from wave to diagnosis, and another hospital · 心音诊断

Minutes: 30
Exercises: spectrum
Data: two class folders of wav files, or a folder of such folders, one a hospital · 两个类别文件夹的 wav 文件，或者一个文件夹，其中每家医院各有这样两个文件夹
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(app_title="Heart sounds", css_file="lesson.css")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinydx

    tinydx.use("numpy")  # needs no compilation

    from tinydx.datasets.heart import CLASS_NAMES, RATE, make_heart_sounds
    from tinydx.diagnosis.kinds.sound import FEATURES, build_rnn
    from tinydx.evaluation import bootstrap_interval, positive_class, roc_auc
    from tinydx.files import visible
    from tinydx.lessons.page import (
        BLUE,
        GREY,
        RED,
        both,
        canvas,
        code,
        foot,
        head,
        number,
        own_data,
        said,
        short,
        show,
        term,
        text,
    )
    from tinydx.optimizers import AdamW
    from tinydx.preprocessing.sound import (
        add_noise,
        find_sounds,
        load_samples,
        log_mel,
        mel_filterbank,
        mel_to_hz,
        pass_band,
        power_to_db,
        stft,
    )


@app.cell(hide_code=True)
def _():
    head("heart_sounds")
    return


@app.cell(hide_code=True)
def _():
    text(
        rf"""
    After this lesson you can

    - follow a sound from its {term("waveform")} to features that a network can read;
    - train the document's recurrence to detect a heart murmur;
    - measure how much worse it works with another hospital's recorder, and undo part of this with one subtraction.

    ## The equations

    A {term("frame")} $t$ is a short section of the samples $x$ that begins $H$ samples after the previous one. A window $u$ fades it in and
    out, and the {term("short-time Fourier transform")} gives the strength of each frequency $k$ in it:

    $$X(t,k) = \sum_n x(tH+n)\, u(n)\, e^{{-2 \pi i k n / N}}$$

    The {term("mel filterbank")} $M$ adds the power of neighbouring frequencies up in bands $m$, and a logarithm gives decibels, which
    correspond to how loudness is heard:

    $$S(t,m) = 10 \log_{{10}} \sum_k M_{{mk}} |X(t,k)|^2$$

    $S$ is a sequence of vectors, which the recurrence of lesson {number("recurrence")} reads frame by frame.

    ## The sounds
    """,
        rf"""
    学完这一课，你能够

    - 跟着声音从{term("waveform")}走到网络能读的特征；
    - 训练文中的循环网络来发现心脏杂音；
    - 量出换了别家医院的录音设备会差多少，并用一次减法挽回一部分。

    ## 公式

    一个{term("frame")} $t$ 是样本 $x$ 的一小段，比前一帧晚 $H$ 个样本开始。窗函数 $u$ 使它淡入淡出，
    {term("short-time Fourier transform")}给出其中每个频率 $k$ 的强度：

    $$X(t,k) = \sum_n x(tH+n)\, u(n)\, e^{{-2 \pi i k n / N}}$$

    {term("mel filterbank")} $M$ 把相邻频率的功率加成一个个频带 $m$，再取对数得到分贝，
    与人耳听到的响度相当：

    $$S(t,m) = 10 \log_{{10}} \sum_k M_{{mk}} |X(t,k)|^2$$

    $S$ 是一个向量序列，第 {number("recurrence")} 课的循环网络逐帧读入它。

    ## 声音
    """,
    )
    return


@app.cell
def _():
    SECONDS = 4.0

    def read_site(folder):
        """At most 150 recordings of each of two class folders: samples (N, L), and which are ill (N,)."""
        files = find_sounds(folder)
        if len(files) != 2:
            raise ValueError(f"{folder} has {len(files)} class folders, {', '.join(files)}: this lesson is about two")
        chosen = [(folder / path, k) for k, paths in enumerate(files.values()) for path in paths[:150]]
        ill = np.array([k == positive_class(list(files)) for _, k in chosen])
        return np.array([load_samples(path, RATE, SECONDS) for path, _ in chosen]), ill

    own = own_data()
    if own:
        _folders = [path for path in visible(own) if path.is_dir()]
        _sites = [own] if any(path.is_file() for folder in _folders for path in visible(folder)) else _folders
        sites = {folder.name: read_site(folder) for folder in _sites}
    else:
        sounds, labels = make_heart_sounds(300, seed=0, seconds=SECONDS)
        sites = {"synthetic": (sounds, labels == CLASS_NAMES.index("abnormal"))}
    home = next(iter(sites))
    x, ill = sites[home]
    _order = np.random.default_rng(0).permutation(len(x))
    train, test = _order[: 2 * len(x) // 3], _order[2 * len(x) // 3 :]
    assert not set(train) & set(test)
    return home, ill, own, sites, test, train, x


@app.cell(hide_code=True)
def _(home, ill, own, test, train, x):
    _synthetic = both(
        f"""
    No package includes labelled heart sounds, so tinydx generates **synthetic ones**. They come from no patient, and what is learned here
    says nothing about real hearts. A beat is two sounds, made by closing valves. An abnormal heart has a murmur at the same place in every
    beat. A normal recording has bursts of the same noise **at random times**, so that loudness and pitch alone contain no information. There
    are {len(x)} recordings of 4 s, {len(train)} for training and {len(test)} for testing.
    """,
        f"""
    没有哪个软件包附带有标签的心音，所以 tinydx 生成**合成的心音**。它们不是任何病人的，在这里学到的东西对真实的心脏毫无意义。
    一次心跳是两个声音，由瓣膜关闭产生。异常的心脏在每次心跳的同一位置有杂音。正常的录音**在随机的时刻**有一阵阵同样的噪声，
    所以单凭响度和音高得不到任何信息。共有 {len(x)} 段 4 秒的录音，{len(train)} 段用于训练，{len(test)} 段用于测试。
    """,
    )
    _yours = both(
        f"""
    Your data: {len(x)} recordings of **{said(home)}**, the first 4 s of each at {RATE} Hz, {len(train)} for training and {len(test)} for testing. The split is by
    recording. If a patient has several recordings, it is not an honest split.
    """,
        f"""
    你的数据：**{said(home)}** 的 {len(x)} 段录音，每段取前 4 秒，采样率 {RATE} Hz，{len(train)} 段用于训练，{len(test)} 段用于测试。划分以录音为单位。
    如果一个病人有几段录音，这样的划分就不诚实。
    """,
    )
    _told = _yours if own else _synthetic
    shown = int(np.flatnonzero(ill)[0])
    _loud = x[shown] / np.abs(x[shown]).max()
    _audible = np.interp(np.arange(4 * len(_loud)) / 4, np.arange(len(_loud)), _loud)  # 8 kHz, which browsers play
    _listen = text(
        """
    Listen to an abnormal one with headphones (a phone's loudspeaker is too small for heart sounds):
    """,
        """
    用耳机听一段异常的录音（手机的扬声器太小，放不出心音）：
    """,
    )
    mo.vstack([text(_told.en, _told.zh), _listen, mo.audio(_audible, rate=4 * RATE)])
    return (shown,)


@app.cell
def _():
    moment = mo.ui.slider(
        0.1, 1.9, step=0.05, value=0.5, label="frame at, seconds · 帧的位置，秒", show_value=True, full_width=True
    )
    _about = text(
        """
    ## See it: from wave to log-mel

    Move the frame along the recording.
    """,
        """
    ## 看一看：从波形到对数梅尔谱

    沿着录音移动这一帧。
    """,
    )
    mo.vstack([_about, moment])
    return (moment,)


@app.cell
def _(moment, shown, x):
    spectrum = {name: FEATURES[name] for name in ("n_fft", "hop", "window")}
    bands = {name: FEATURES[name] for name in ("n_mels", "fmin", "fmax")}
    piece = x[shown][: 2 * RATE]
    power = np.abs(stft(piece, **spectrum)) ** 2  # (T, 1 + n_fft // 2)
    filters = mel_filterbank(RATE, spectrum["n_fft"], **bands)  # (bands, 1 + n_fft // 2)
    mel = power_to_db(power @ filters.T)
    frame = round(moment.value * RATE / spectrum["hop"])
    assert np.allclose(mel, log_mel(piece, RATE, **spectrum, **bands), atol=1e-3)  # the engine's features, step by step
    assert power.shape[1] == filters.shape[1] == 1 + spectrum["n_fft"] // 2
    return bands, filters, frame, mel, piece, power, spectrum


@app.cell(hide_code=True)
def _(bands, filters, frame, mel, piece, power, spectrum):
    _figure, (_wave, _one, _all, _mel) = canvas(4, 1, height=7.2)
    _begin = (frame * spectrum["hop"] - spectrum["window"] / 2) / RATE
    _wave.plot(np.arange(len(piece)) / RATE, piece, color=BLUE, linewidth=0.6)
    _wave.axvspan(_begin, _begin + spectrum["window"] / RATE, color=RED, alpha=0.35)
    _wave.set(title="wave, and a frame in red", xlabel="time (s)", ylabel="sound (full scale)", xlim=(0, 2))
    _hz = np.arange(power.shape[1]) * RATE / spectrum["n_fft"]
    _one.plot(_hz, power_to_db(power[frame]), color=RED)
    _floor = power_to_db(power[frame]).min()
    for _row in filters[::4]:
        _one.fill_between(_hz, _floor, _floor + 25 * _row / filters.max(), color=GREY, alpha=0.5, linewidth=0)
    _one.set(
        title=f"its spectrum, and every 4th of {bands['n_mels']} filters",
        xlabel="frequency (Hz)",
        ylabel="power (dB)",
        xlim=(0, 1000),
    )
    _db = power_to_db(power)
    _all.imshow(_db.T, origin="lower", aspect="auto", cmap="magma", extent=(0, 2, 0, RATE / 2), vmin=_db.max() - 60)
    _all.set(title="all frames: the spectrogram", xlabel="time (s)", ylabel="frequency (Hz)")
    _mel.imshow(mel.T, origin="lower", aspect="auto", cmap="magma", extent=(0, 2, 0.5, len(filters) + 0.5), vmin=mel.max() - 60)
    _mel.set(title="log-mel: what the network reads", xlabel="time (s)", ylabel="band (number)")
    for _axis in (_all, _mel):
        _axis.axvline(_begin + spectrum["window"] / RATE / 2, color="white", linewidth=0.8)
    show(
        _figure,
        "Two seconds of a heart sound: its wave with one frame marked, the spectrum of that frame with some mel filters below it, the "
        "spectrogram of all frames, and the log-mel bands over time, in which beats are bright columns.",
        "两秒钟的心音：标出一帧的波形，这一帧的频谱和下方的几个梅尔滤波器，全部帧的频谱图，以及随时间变化的对数梅尔频带，其中心跳是亮的竖条。",
    )
    return


@app.cell(hide_code=True)
def _(bands, filters, piece, power, spectrum):
    _edges = mel_to_hz(np.linspace(0, 15, 4))
    assert np.allclose(np.diff(_edges), np.diff(_edges)[0])  # up to 1 kHz, which is 15 mel, the scale is a straight line
    text(
        f"""
    {len(piece):,} samples became {len(power)} frames of {power.shape[1]} frequencies, and then of {len(filters)} bands. A frame is {1000 * spectrum["window"] / RATE:.0f} ms
    long, and frames begin {1000 * spectrum["hop"] / RATE:.0f} ms apart. Mel bands become wider where the ear distinguishes frequencies less well, but only above
    1 kHz. Heart sounds are below {bands["fmax"]:.0f} Hz, so all these bands are equally wide.

    ## The code

    The whole computation takes a few lines: cut into frames, apply a window, transform, take the power, add up bands, take the logarithm.
    """,
        f"""
    {len(piece):,} 个样本变成 {len(power)} 帧，每帧 {power.shape[1]} 个频率，再变成 {len(filters)} 个频带。一帧长 {1000 * spectrum["window"] / RATE:.0f} 毫秒，
    相邻两帧的起点相距 {1000 * spectrum["hop"] / RATE:.0f} 毫秒。梅尔频带在人耳分辨力较差的地方变宽，但只是在 1 kHz 以上。
    心音低于 {bands["fmax"]:.0f} Hz，所以这些频带都一样宽。

    ## 代码

    整段计算只有几行：切成帧，加窗，变换，求功率，加成频带，取对数。
    """,
    )
    return


@app.cell
def _():
    def features_of(x, filters, hop, window):
        steps = range(0, len(x) - len(window) + 1, hop)
        frames = np.array([x[t : t + len(window)] * window for t in steps])
        power = np.abs(np.fft.rfft(frames)) ** 2
        return 10 * np.log10(power @ filters.T)

    return (features_of,)


@app.cell(hide_code=True)
def _(bands, features_of, piece, spectrum):
    _n = spectrum["n_fft"]
    _settings = {"n_fft": _n, "hop": spectrum["hop"], "window": _n, "center": False}
    _power = np.abs(stft(piece, **_settings)) ** 2 @ mel_filterbank(RATE, _n, **bands).T
    _window = np.sin(np.pi * np.arange(_n) / _n) ** 2  # Hann's
    _short = features_of(piece, mel_filterbank(RATE, _n, **bands), spectrum["hop"], _window)
    np.testing.assert_allclose(_short, 10 * np.log10(_power), atol=1e-2)
    short(features_of)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    The engine's transform and filters:
    """,
        """
    引擎中的变换和滤波器：
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    code(stft, mel_filterbank)
    return


@app.cell(hide_code=True)
def _():
    text(
        """
    ## Training

    The network is that of `tinydx diagnose --kind sound`: a small convolution over time, followed by the document's recurrence. It is
    trained twice: once every recording is scaled as a whole, and once each **band** of a recording is also shifted to a mean of 0. For
    recordings of the same hospital this should make little difference:
    """,
        """
    ## 训练

    网络就是 `tinydx diagnose --kind sound` 的网络：时间上的一个小卷积，然后是文中的循环网络。训练两次：
    一次把每段录音作为整体缩放，一次还把录音的每个**频带**平移到平均值 0。对同一家医院的录音，
    这应当没有多大差别：
    """,
    )
    return


@app.cell
def _(ill, test, train, x):
    tinydx.set_threads(1)  # such small matrices are fastest on one core

    def features(sounds, by_band):
        """Log-mel (N, T, bands) of variance 1, with mean 0 in each recording, or in each of its bands."""
        f = np.array([log_mel(sound, **FEATURES) for sound in sounds])
        f = f - f.mean(axis=1 if by_band else (1, 2), keepdims=True)
        return (f / f.std(axis=(1, 2), keepdims=True)).astype("float32")

    def trained(by_band):
        tinydx.set_seed(0)
        model = build_rnn(FEATURES["n_mels"], classes=2)
        model.compile(AdamW(0.004, weight_decay=0.01), "binary_crossentropy")
        model.fit(features(x[train], by_band), ill[train].astype(int), batch_size=20, epochs=12, verbose=0)
        return model

    models = {"as a whole": trained(False), "band by band": trained(True)}

    def areas(sounds, truth):
        """The area under the ROC curve of both models, with 95 % intervals: {name: (area, low, high)}"""
        found = {}
        for name, model in models.items():
            p = model.predict(features(sounds, name == "band by band"))[:, 0]
            found[name] = roc_auc(truth, p), *bootstrap_interval(roc_auc, truth, p, samples=200, strata=truth)
        return found

    at_home = areas(x[test], ill[test])
    return areas, at_home


@app.cell(hide_code=True)
def _(at_home, ill, own, test):
    _clear = both(", and from a generator whose murmurs are clearer than real ones", "，并且来自一个杂音比真实情况更清楚的生成器")
    _clear = both("", "") if own else _clear
    _named = {"as a whole": "整体", "band by band": "逐频带"}
    _rows = both(
        "\n    ".join(f"| {name} | {area:.3f} | {low:.2f} to {high:.2f} |" for name, (area, low, high) in at_home.items()),
        "\n    ".join(
            f"| {_named[name]} | {area:.3f} | {low:.2f} 至 {high:.2f} |" for name, (area, low, high) in at_home.items()
        ),
    )
    text(
        f"""
    | scaled | AUC | 95 % interval |
    |---|---|---|
    {_rows.en}

    This was measured on {len(test)} recordings, {int(ill[test].sum())} of them abnormal, that were not used in training. But they come from the same
    hospital{_clear.en}.

    ## See it: another hospital

    Another hospital has another recorder. Here a filter simulates one with a small microphone, which loses low frequencies, and with noise
    of its own. The hearts and the trained networks stay the same. The curves show several microphones; choose the noise.
    """,
        f"""
    | 缩放方式 | AUC | 95 % 区间 |
    |---|---|---|
    {_rows.zh}

    这是在没有用于训练的 {len(test)} 段录音上测得的，其中 {int(ill[test].sum())} 段异常。但它们来自同一家
    医院{_clear.zh}。

    ## 看一看：别家医院

    别家医院有别的录音设备。这里用滤波器模拟一个小麦克风，它丢失低频，并且有自己的噪声。
    心脏和训练好的网络都不变。曲线表示几种麦克风；选择噪声的大小。
    """,
    )
    return


@app.cell
def _():
    noise = mo.ui.slider(0, 40, step=5, value=30, label="signal to noise, dB · 信噪比，分贝", show_value=True, full_width=True)
    noise
    return (noise,)


@app.cell
def _(areas, ill, noise, own, test, x):
    LIMITS = (20, 50, 100, 200, 300)  # Hz

    def recorded(limit, snr):
        """The test recordings as another recorder would record them."""
        return add_noise(pass_band(x[test], RATE, limit, RATE / 2, order=4), snr, np.random.default_rng(0))

    curves = {limit: areas(recorded(limit, noise.value), ill[test]) for limit in LIMITS}
    return LIMITS, curves, recorded


@app.cell
def _(areas, ill, recorded, test):
    _filtered = [areas(recorded(limit, 60), ill[test]) for limit in (200, 300)]
    filtered = {name: np.mean([found[name][0] for found in _filtered]) for name in _filtered[0]}
    noisy = {name: area for name, (area, _, _) in areas(recorded(20, 0), ill[test]).items()}
    return filtered, noisy


@app.cell(hide_code=True)
def _(LIMITS, at_home, curves, noise):
    _figure, _axis = canvas(height=2.8)
    for _name, _colour in (("as a whole", RED), ("band by band", BLUE)):
        _area, _low, _high = np.array([curves[limit][_name] for limit in LIMITS]).T
        _axis.semilogx(LIMITS, _area, "o-", color=_colour, label=f"scaled {_name}")
        _axis.fill_between(LIMITS, _low, _high, color=_colour, alpha=0.15, linewidth=0)
        _axis.axhline(at_home[_name][0], color=_colour, linewidth=0.8, linestyle=":")
    _axis.axhline(0.5, color=GREY, linewidth=0.8)
    _axis.text(20, 0.51, "guessing", color=GREY)
    _axis.set(
        title=f"another recorder, {noise.value} dB signal to noise",
        xlabel="lowest frequency it records (Hz)",
        ylabel="AUC (share)",
        ylim=(0.4, 1.02),
    )
    _axis.set(xticks=LIMITS, xticklabels=LIMITS)
    _axis.minorticks_off()
    _axis.legend(loc="lower left", frameon=False, bbox_to_anchor=(0, 0.22))
    show(
        _figure,
        "The area under the ROC curve against the lowest frequency that another recorder records, for both ways of scaling, with 95 % "
        "intervals; dotted, the areas at the first hospital.",
        "ROC 曲线下的面积，随另一台录音设备能录到的最低频率变化，两种缩放方式各一条，带 95 % 区间；虚线是第一家医院的面积。",
    )
    return


@app.cell(hide_code=True)
def _(at_home, filtered, noisy):
    _lost = {name: at_home[name][0] - area for name, area in filtered.items()}
    _less = both("loses less", "损失较少")
    if _lost["band by band"] >= _lost["as a whole"] - 0.05:
        _less = both("**here loses no less**, although it should", "**在这里并没有少损失**，虽然本应如此")
    text(
        f"""
    With hardly any noise, and little signal below 200 or 300 Hz, the area of the network that scales recordings as a whole goes from
    {at_home["as a whole"][0]:.2f} at the first hospital to **{filtered["as a whole"]:.2f}** (the mean for both limits), and the area of the one that scales band by band from
    {at_home["band by band"][0]:.2f} to **{filtered["band by band"]:.2f}**. The second {_less.en}. The reason: a recorder multiplies each frequency by some gain $G$, which the logarithm turns into a sum:

    $$\\hat{{S}}(t,m) \\approx S(t,m) + 20 \\log_{{10}} G(m)$$

    The recorder adds a constant to each band. Subtracting each band's mean removes it, without any data from the other hospital.

    It does not remove noise. With noise as loud as the heart (0 dB), the areas are {noisy["as a whole"]:.2f} and {noisy["band by band"]:.2f}: noise is **added before the
    logarithm**, and it fills the pauses in which a murmur is heard. An honest report names the hospitals that the test data came from.
    """,
        f"""
    几乎没有噪声、而 200 或 300 Hz 以下信号很少时，整体缩放的网络，面积从第一家医院的
    {at_home["as a whole"][0]:.2f} 变成 **{filtered["as a whole"]:.2f}**（两种界限的平均），逐频带缩放的网络，面积从
    {at_home["band by band"][0]:.2f} 变成 **{filtered["band by band"]:.2f}**。第二个{_less.zh}。原因是：录音设备把每个频率乘以某个增益 $G$，对数把它变成了加法：

    $$\\hat{{S}}(t,m) \\approx S(t,m) + 20 \\log_{{10}} G(m)$$

    录音设备给每个频带加上一个常数。减去每个频带的平均值就把它去掉了，不需要别家医院的任何数据。

    它去不掉噪声。噪声与心音一样响（0 dB）时，面积是 {noisy["as a whole"]:.2f} 和 {noisy["band by band"]:.2f}：噪声是在**取对数之前加上**的，
    它填满了能听到杂音的间歇。诚实的报告会写明测试数据来自哪些医院。
    """,
    )
    return


@app.cell
def _(areas, home, sites):
    elsewhere = {name: areas(*site) for name, site in sites.items() if name != home}
    return (elsewhere,)


@app.cell(hide_code=True)
def _(elsewhere, home):
    _rows = "\n    ".join(
        f"| {said(name)} | {f['as a whole'][0]:.2f} | {f['band by band'][0]:.2f} |" for name, f in elsewhere.items()
    )
    _table = both(
        f"""
    ## Your other hospitals

    Trained on {said(home)}, tested on the others (AUC):

    | | as a whole | band by band |
    |---|---|---|
    {_rows}
    """,
        f"""
    ## 你的其他医院

    在 {said(home)} 上训练，在其他医院上测试（AUC）：

    | | 整体 | 逐频带 |
    |---|---|---|
    {_rows}
    """,
    )
    _how = both(
        """
    With `--data FOLDER`, where each folder in FOLDER is a hospital with two class folders, the network is trained on the first hospital by
    name, and a table with the results for the others appears here.
    """,
        """
    用 `--data FOLDER`，其中 FOLDER 里的每个文件夹是一家医院，各有两个类别文件夹，网络就在名称排在最前的医院上训练，
    其他医院的结果会列在这里的表中。
    """,
    )
    _told = _table if elsewhere else _how
    text(_told.en, _told.zh)
    return


@app.cell(hide_code=True)
def _(at_home, noisy):
    text(
        f"""
    ## A question

    Another hospital has the same recorder, but records its ill patients at night, when the ventilation hums, and the healthy by day. A
    network that is trained and tested there reaches {max(area for area, _, _ in at_home.values()):.2f}, too. Would you believe it?

    /// details | Answer
    No. It may detect the hum and not the heart: a network learns whatever goes with the label, and the test set has the same hum as the
    training set. Test it on ill and healthy people who were recorded in the same way, or add the same hum to all recordings. The
    generator of this lesson does so with its bursts of noise in normal recordings, so a result such as {noisy["band by band"]:.2f} under noise is
    meaningful here.
    ///
    """,
        f"""
    ## 一个问题

    另一家医院用同样的设备，但患者在夜里录音，那时通风机嗡嗡作响，健康者则在白天录音。
    在那里训练和测试的网络也达到 {max(area for area, _, _ in at_home.values()):.2f}。你会相信吗？

    /// details | 答案
    不会。它检测的可能是嗡嗡声而不是心脏：网络学习任何与标签同时出现的东西，而测试集里有与训练集同样的嗡嗡声。
    要用以同样方式录音的患者和健康者来测试，或者给全部录音加上同样的嗡嗡声。
    这一课的生成器就是这样做的，它给正常录音加上一阵阵噪声，所以噪声下 {noisy["band by band"]:.2f} 这样的结果在这里是有意义的。
    ///
    """,
    )
    return


@app.cell(hide_code=True)
def _():
    foot("heart_sounds")
    return


if __name__ == "__main__":
    app.run()
