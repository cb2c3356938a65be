"""Files to arrays, and augmentation. One module a subject, as in Keras: `tinydx.preprocessing.image`."""
