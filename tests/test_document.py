"""The document's own program, section 4, with `keras` replaced by `tinydx`: it runs as written, from class folders to a word."""

import os
import subprocess
import sys

import numpy as np

from tinydx.preprocessing.image import save_img

PROGRAM = """
from tinydx.preprocessing.image import ImageDataGenerator

datagen = ImageDataGenerator(
    rescale=1./255,
    rotation_range=20,
    width_shift_range=0.2,
    height_shift_range=0.2,
    shear_range=0.2,
    zoom_range=0.2,
    horizontal_flip=True,
    fill_mode='nearest')

train_generator = datagen.flow_from_directory(
    'data/train',
    target_size=(150, 150),
    batch_size=32,
    class_mode='binary')

from tinydx.models import Sequential
from tinydx.layers import Conv2D, MaxPooling2D, Flatten, Dense

model = Sequential()

model.add(Conv2D(32, (3, 3), activation='relu', input_shape=(150, 150, 3)))
model.add(MaxPooling2D((2, 2)))

model.add(Conv2D(64, (3, 3), activation='relu'))
model.add(MaxPooling2D((2, 2)))

model.add(Conv2D(128, (3, 3), activation='relu'))
model.add(MaxPooling2D((2, 2)))

model.add(Flatten())
model.add(Dense(512, activation='relu'))
model.add(Dense(1, activation='sigmoid'))

model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])

model.fit(
    train_generator,
    steps_per_epoch=100,
    epochs=10)

from tinydx.preprocessing.image import load_img
test_image = load_img('data/train/normal/0.png', target_size=(150, 150))

from tinydx.preprocessing.image import img_to_array
from tinydx.preprocessing import image
import numpy as np

test_image = img_to_array(test_image)
test_image = np.expand_dims(test_image, axis=0)

prediction = model.predict(test_image)
print('Normal' if prediction[0][0] < 0.5 else 'Abnormal')
"""


def test_the_listing_runs_as_written(tmp_path):
    """Only its two counts are made smaller here: 3 steps instead of 100, 2 epochs instead of 10."""
    rng = np.random.default_rng(0)
    for name in ("abnormal", "normal"):
        folder = tmp_path / "data" / "train" / name
        folder.mkdir(parents=True)
        for i in range(10):
            save_img(folder / f"{i}.png", rng.integers(0, 256, (40, 50, 3)).astype("float32"))
    program = PROGRAM.replace("steps_per_epoch=100", "steps_per_epoch=3").replace("epochs=10", "epochs=2")
    program += "\nprint(model.count_params())\nprint(model.predict_classes(test_image / 255)[0])\n"
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "Found 20 images belonging to 2 classes."
    assert lines[1].startswith("Epoch 1/2") and "loss" in lines[1] and "accuracy" in lines[1]
    assert lines[3] in ("Normal", "Abnormal") and lines[4] == "19034177" and lines[5] in ("normal", "abnormal")
    # 20 images are one batch, and three steps were asked for; the test image was not rescaled; 1 means normal
    assert "looped" in result.stderr and "rescale" in result.stderr and "means 'normal'" in result.stderr
