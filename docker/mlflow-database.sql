-- Run once by the Postgres image, when it makes its data folder; the database `matinee` is made by the image itself.
CREATE DATABASE mlflow;
